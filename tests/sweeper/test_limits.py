from datetime import timedelta

import pytest
from sqlalchemy import select

from store.columns import now
from store.engine import writing
from store.models import Sweep
from store.runs import list_runs
from store.states import RunState, SweepState
from store.sweeps import get_sweep
from sweeper import attempts, limits
from sweeper.queue import startable
from tests.databases import on_sqlite  # noqa: F401  its database


def start_one(session, hours_ago, n_devices=1):
    """By a sweep that was submitted a day before."""
    attempt = attempts.claim(session, startable(session)[0], worker="w", n_devices=n_devices)
    for sweep in session.scalars(select(Sweep)):
        sweep.created_at = now() - timedelta(hours=hours_ago + 24)
    attempt.started_at = now() - timedelta(hours=hours_ago)
    session.flush()
    return attempt


def test_a_sweep_that_used_up_its_hours_is_stopped_and_what_runs_may_finish(engine, ask):
    sweep_id = ask(limits={"hours": 5})
    with writing(engine) as session:
        attempt = start_one(session, hours_ago=3, n_devices=2)
        assert limits.used_hours(session, sweep_id) == pytest.approx(6, rel=1e-3)
        assert limits.stop_what_is_over(session) == [sweep_id]
        sweep = get_sweep(session, sweep_id)
        assert sweep.state is SweepState.STOPPING
        assert sweep.reason.startswith("limits.hours=5 is used up: 6")
        assert sorted(r.state.value for r in list_runs(session)) == ["cancelled", "running"]
        attempts.finish(session, attempt, RunState.FINISHED, reason=None)
        assert sweep.state is SweepState.FINISHED


def test_money_is_counted_at_the_planned_price(engine, ask):
    sweep_id = ask(limits={"usd": 1})
    with writing(engine) as session:
        start_one(session, hours_ago=100)  # 4.08 USD at the table's .0408 USD per core-hour
        assert limits.stop_what_is_over(session) == [sweep_id]
        assert "limits.usd=1 is used up: 4.08 USD" in get_sweep(session, sweep_id).reason


def test_a_sweep_within_its_limits_goes_on(engine, ask):
    ask(limits={"usd": 1, "hours": 5})
    ask(seeds=[3])  # no limit at all
    with writing(engine) as session:
        start_one(session, hours_ago=1)
        assert limits.stop_what_is_over(session) == []


def test_hours_that_a_shared_run_took_before_the_sweep_are_not_the_sweeps(engine, ask):
    ask()
    with writing(engine) as session:
        ended, goes_on = start_one(session, hours_ago=9), start_one(session, hours_ago=9)
        attempts.finish(session, ended, RunState.FINISHED, reason=None)
        ended.ended_at = now() - timedelta(hours=8)
    sweep_id = ask(limits={"hours": 5})
    with writing(engine) as session:
        assert limits.used_hours(session, sweep_id) == pytest.approx(0, abs=1e-3)
        assert limits.stop_what_is_over(session) == []
        get_sweep(session, sweep_id).created_at = now() - timedelta(hours=2)
        assert limits.used_hours(session, sweep_id) == pytest.approx(2, rel=1e-3)
        assert goes_on.ended_at is None


def test_a_limit_is_used_up_when_it_is_reached():
    sweep = Sweep(limit_hours=2.0, limit_usd=None, price={})
    assert limits.over(sweep, 1.9) is None
    assert limits.over(sweep, 2.0) == "limits.hours=2 is used up: 2 device-hours"
