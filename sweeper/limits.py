"""Limits hold while a sweep runs, not only in its plan: what it has really used is counted.

A sweep above its limit is stopped: runs under way finish, nothing new begins. So it ends over its
limit by at most the runs that were under way.
"""

from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from store.columns import now
from store.models import Attempt, Sweep, SweepRun
from store.states import SWEEP_OPEN
from sweeper.verbs import stop_sweep


def stop_what_is_over(session: Session) -> list[int]:
    """Stop every open sweep that has used up its hours or its money; returns their ids."""
    limited = or_(Sweep.limit_hours.is_not(None), Sweep.limit_usd.is_not(None))
    stopped = []
    for sweep in session.scalars(select(Sweep).where(Sweep.state.in_(SWEEP_OPEN), limited)):
        reason = over(sweep, used_hours(session, sweep.id))
        if reason:
            sweep.reason = reason
            stop_sweep(session, sweep.id)
            stopped.append(sweep.id)
    return stopped


def over(sweep: Sweep, hours: float) -> str | None:
    """Which limit is used up, as a sentence; None while none is."""
    if sweep.limit_hours is not None and hours >= sweep.limit_hours:
        return f"limits.hours={sweep.limit_hours:g} is used up: {hours:.4g} device-hours"
    usd = hours * _usd_per_hour(sweep)
    if sweep.limit_usd is not None and usd >= sweep.limit_usd:
        return f"limits.usd={sweep.limit_usd:g} is used up: {usd:.4g} USD"
    return None


def _usd_per_hour(sweep: Sweep) -> float:
    """As planned."""
    usd, hours = sweep.price.get("usd"), sweep.price.get("hours")
    return usd / hours if usd and hours else 0.0


def used_hours(session: Session, sweep_id: int) -> float:
    """Device-hours of all attempts at the sweep's runs so far, failed ones included; not what a
    run that it shares had taken before there was this sweep."""
    rows = session.execute(
        select(Attempt.started_at, Attempt.ended_at, Attempt.n_devices, Sweep.created_at)
        .join(SweepRun, SweepRun.run_id == Attempt.run_id)
        .join(Sweep)
        .where(SweepRun.sweep_id == sweep_id)
    )
    return sum(_hours(max(start, asked), end) * (n or 1) for start, end, n, asked in rows)


def _hours(start: datetime, end: datetime | None) -> float:
    return max(0.0, ((end or now()) - start).total_seconds()) / 3600
