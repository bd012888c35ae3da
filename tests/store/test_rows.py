import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from store import conclusions, curves, measurements, runs, sweeps
from store.errors import NotFoundError
from store.models import Attempt, Measurement
from store.states import AttemptState, RunState

POINT = {"n_params": 1e4, "n_tokens": 2e6, "loss": 2.1, "flops": 1.2e11}


def columns(i=1):
    return {
        "spec": {"seed": i}, "corpus": "c", "data_fingerprint": "f", "n_params": 1,
        "n_params_total": 1, "n_params_non_embedding": 1, "n_tokens": 10, "flops": 60.0,
    }  # fmt: skip


def test_the_same_spec_and_code_is_the_same_run(session):
    row = {"spec_hash": "a", **columns()}
    (one,) = runs.find_or_add_runs(session, "x", [row])
    next_one, same = runs.find_or_add_runs(session, "x", [row | {"spec_hash": "b"}, row])
    (other,) = runs.find_or_add_runs(session, "y", [row])
    assert one is same
    assert len({one.id, next_one.id, other.id}) == 3
    assert (one.state, one.n_failures) == (RunState.QUEUED, 0)


def test_missing_rows_say_so(session):
    for get, kind in (
        (runs.get_run, "run"),
        (sweeps.get_sweep, "sweep"),
        (measurements.get_study, "study"),
        (conclusions.get_fit, "fit"),
        (conclusions.get_recommendation, "recommendation"),
        (conclusions.get_launch, "launch"),
    ):
        with pytest.raises(NotFoundError, match=f"there is no {kind} 9"):
            get(session, 9)


def test_pages_neither_skip_nor_repeat(session, make_run, make_sweep):
    sweep = make_sweep()
    for i in range(7):
        sweeps.link(session, sweep, make_run(i))
        make_run(100 + i)  # of nobody
    seen, after = [], 0
    while page := runs.list_runs(session, sweep_id=sweep.id, after=after, limit=3):
        seen += [run.id for run in page]
        after = seen[-1]
    assert len(seen) == len(set(seen)) == 7


def test_progress_counts_running_runs_by_their_share(session, make_run, make_sweep):
    sweep = make_sweep()
    sizes = {"n_tokens": 100, "flops": 600.0}
    done = make_run(1, state=RunState.FINISHED, n_tokens_done=100, **sizes)
    half = make_run(2, state=RunState.RUNNING, n_tokens_done=50, **sizes)
    for run in (done, half, make_run(3, **sizes)):
        sweeps.link(session, sweep, run)
        sweeps.link(session, sweep, run)  # twice says nothing new
    got = sweeps.progress(session, sweep.id)
    assert (got.n_runs, got.n_over, got.flops, got.flops_done) == (3, 1, 1800.0, 900.0)
    assert got.counts["finished"] == got.counts["running"] == got.counts["queued"] == 1


def test_speeds_are_of_timed_runs_with_the_devices_of_their_last_attempt(
    session, make_run, make_sweep
):
    sweep = make_sweep()
    timed = {"state": RunState.FINISHED, "tok_s": 100.0}
    small, large, twin = (make_run(i, n_params=n, **timed) for i, n in enumerate((10, 30, 30)))
    untimed = make_run(3, n_params=90, state=RunState.FINISHED)
    at_work = make_run(4, n_params=99, state=RunState.RUNNING, tok_s=1.0)
    for run in (small, large, twin, untimed, at_work):
        sweeps.link(session, sweep, run)
    for number, n_devices in ((1, 8.0), (2, 2.0)):
        session.add(
            Attempt(
                run_id=large.id, number=number, worker="w", n_devices=n_devices,
                state=AttemptState.FINISHED,
            )
        )  # fmt: skip
    session.flush()
    assert runs.speeds(session, sweep.id) == [(30, 100.0, 2.0), (30, 100.0, 1.0), (10, 100.0, 1.0)]
    assert runs.largest_finished(session, sweep.id) is untimed
    assert runs.speeds(session, make_sweep().id) == []
    assert runs.largest_finished(session, 9**9) is None


def test_an_empty_sweep_has_no_progress(session, make_sweep):
    assert sweeps.progress(session, make_sweep().id).n_runs == 0


def test_a_horizon_is_measured_once(session, make_run):
    run = make_run()
    first = measurements.add_to_run(session, run, POINT | {"loss_by_domain": {"python": 2.0}})
    again = measurements.add_to_run(session, run, POINT | {"loss": 9.9})
    assert first is again
    row = measurements.as_row(first)
    assert (row["loss"], row["loss_by_domain"], row["run_id"]) == (2.1, {"python": 2.0}, run.id)


def test_a_measurement_belongs_to_a_run_or_to_a_study(session, make_run):
    session.add(Measurement(**POINT))
    with pytest.raises(IntegrityError, match="run_xor_study"):
        session.flush()


def test_a_study_keeps_the_order_of_its_file(session):
    rows = [POINT | {"loss": x} for x in (3.0, 1.0, 2.0)]
    study = measurements.add_study(session, name="a", rows=rows, about={"unit": "nats"})
    assert [m.loss for m in measurements.of_study(session, study.id)] == [3.0, 1.0, 2.0]
    assert measurements.find_study(session, "a") is study


@given(st.lists(st.integers(1, 14 * 10**11), max_size=40))
def test_a_curve_has_a_point_per_bin_and_repeated_steps_change_nothing(session, make_run, tokens):
    with session.begin_nested() as savepoint:
        run = make_run(77)
        lines = [{"step": i, "n_tokens": n, "loss": 2.0} for i, n in enumerate(sorted(tokens))]
        kept = curves.add_points(session, run, lines)
        assert curves.add_points(session, run, lines) == 0
        points = curves.of_run(session, run.id)
        assert kept == len(points) == len({p.bin for p in points})
        assert [p.n_tokens for p in points] == sorted(p.n_tokens for p in points)
        savepoint.rollback()


def test_a_loss_that_is_not_finite_becomes_null_in_a_curve(session, make_run):
    run = make_run()
    curves.add_points(session, run, [{"step": 1, "n_tokens": 5, "loss": math.nan}])
    assert curves.of_run(session, run.id)[0].loss is None


def test_the_list_of_a_sweeps_runs_uses_an_index(session, engine, make_sweep):
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    if engine.dialect.name == "postgresql":
        session.execute(text("SET enable_seqscan = off"))  # tiny tables are read whole otherwise
    plan = session.execute(
        text(explain + "SELECT * FROM run JOIN sweep_run ON run.id = run_id WHERE sweep_id = 1")
    ).all()
    assert "pk_sweep_run" in str(plan) or "sqlite_autoindex_sweep_run" in str(plan), plan
