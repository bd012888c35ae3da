"""What waits to be started, and what is wanted of what runs."""

import enum
from datetime import timedelta

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from store.answers import Launch
from store.columns import now
from store.models import Attempt, Run, Sweep, SweepRun
from store.runs import live_attempts
from store.states import RunKind, RunState, SweepState
from sweeper.attempts import BACKOFF_S
from sweeper.settling import WANTING, is_wanted


class Wish(enum.StrEnum):
    GO_ON = enum.auto()
    WAIT = enum.auto()  # checkpoint, and back into the queue
    DROP = enum.auto()  # kill it


def startable(session: Session, *, limit: int = 64) -> list[Run]:
    """Queued runs that a sweep or a launch wants now: final runs first, then older sweeps, then
    long runs before short ones, so that the last core is not left alone with the longest."""
    oldest = (
        select(func.min(Sweep.id))
        .join(SweepRun)
        .where(SweepRun.run_id == Run.id, Sweep.state.in_(WANTING))
        .correlate(Run)
        .scalar_subquery()
    )
    launched = exists().where(Launch.run_id == Run.id, Launch.cancelled_at.is_(None))
    moment, longest = now(), timedelta(seconds=max(BACKOFF_S))
    due = or_(
        Run.not_before.is_(None),
        Run.not_before <= moment,
        Run.not_before > moment + longest,  # the clock jumped
    )
    query = (
        select(Run)
        .where(Run.state == RunState.QUEUED, due, or_(oldest.is_not(None), launched))
        .order_by((Run.kind != RunKind.FINAL), oldest, Run.flops.desc(), Run.id)
        .limit(limit)
    )
    return list(session.scalars(query))


def live(session: Session) -> list[tuple[Attempt, Run, Wish]]:
    """Everything under way, and what is wanted of it."""
    found = []
    for attempt in live_attempts(session):
        run = session.get_one(Run, attempt.run_id)
        found.append((attempt, run, _wish(session, run)))
    return found


def _wish(session: Session, run: Run) -> Wish:
    if is_wanted(session, run):
        return Wish.GO_ON
    return Wish.WAIT if is_wanted(session, run, (SweepState.PAUSED,)) else Wish.DROP
