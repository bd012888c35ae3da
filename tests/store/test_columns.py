from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError, StatementError

from store.columns import Finite, Utc
from store.states import RunState


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_finite_number_passes_unchanged(x):
    assert Finite().process_bind_param(x, None) == x


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_never_reach_a_column(session, make_run, bad):
    with pytest.raises(StatementError, match="NaN and infinity are never stored"):
        make_run(last_loss=bad)


def test_nor_a_json_value(session, make_sweep):
    sweep = make_sweep()
    sweep.price = {"usd": float("nan")}
    with pytest.raises((StatementError, ValueError), match="not JSON compliant"):
        session.flush()


def test_times_come_back_in_utc(session, make_run):
    run = make_run(started_at=datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    session.expire(run)
    assert run.started_at == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert run.started_at.tzinfo is UTC or run.started_at.utcoffset() == timedelta(0)


def test_a_time_without_zone_is_refused():
    with pytest.raises(ValueError, match="needs a zone"):
        Utc().process_bind_param(datetime(2026, 1, 1), None)  # noqa: DTZ001


def test_a_state_that_is_none_is_refused_by_the_table(session, make_run):
    run = make_run()
    with pytest.raises((IntegrityError, StatementError)):
        session.execute(type(run).__table__.update().values(state="asleep"), execution_options={})
    session.rollback()
    assert RunState("queued") is RunState.QUEUED


def test_counts_are_positive(make_run):
    with pytest.raises(IntegrityError, match="positive_counts"):
        make_run(n_tokens=0)
