"""Every change of state of a run or an attempt: the dispatcher's words. The web process asks for
runs again (`requeue`), no more.
"""

from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from store.columns import now
from store.errors import FencedError
from store.models import Attempt, Run
from store.runs import latest_attempt
from store.states import ATTEMPT_LIVE, AttemptState, RunState, SweepState
from sweeper.settling import WANTING, is_wanted, say_run, settle_all

BACKOFF_S = (1.0, 5.0, 30.0)  # after the first, second, any later failure


def claim(session: Session, run: Run, *, worker: str, n_devices: float = 1) -> Attempt | None:
    """Take a queued run by compare-and-swap: a starting attempt, or None if it is not queued any
    more or nobody wants it any more."""
    if not is_wanted(session, run):
        return None
    taken = session.execute(
        update(Run)
        .where(Run.id == run.id, Run.state == RunState.QUEUED)
        .values(state=RunState.RUNNING, reason=None, not_before=None)
        .returning(Run.id)
    ).one_or_none()
    if taken is None:
        return None
    session.refresh(run)
    run.started_at = run.started_at or now()
    last = latest_attempt(session, run.id)
    attempt = Attempt(
        run_id=run.id,
        number=last.number + 1 if last else 1,
        worker=worker,
        n_devices=n_devices,
        state=AttemptState.STARTING,
    )
    session.add(attempt)
    session.flush()
    say_run(session, run, attempt=attempt.number)
    settle_all(session, run)
    return attempt


def attempt_runs(session: Session, attempt: Attempt) -> None:
    """Its worker was seen at work."""
    if attempt.state is AttemptState.STARTING:
        attempt.state = AttemptState.RUNNING
        session.flush()


def finish(session: Session, attempt: Attempt, outcome: RunState, *, reason: str | None) -> None:
    """The run ended by itself: FINISHED or DIVERGED."""
    _end_attempt(session, attempt, AttemptState(outcome.value), reason)
    end_run(session, _run_of(session, attempt), outcome, reason)


def fail(session: Session, attempt: Attempt, reason: str, *, permanent: bool = False) -> None:
    """The attempt broke: again from its checkpoint, or FAILED once the budget is spent (or at
    once if another try cannot help)."""
    _end_attempt(session, attempt, AttemptState.FAILED, reason)
    run = _run_of(session, attempt)
    run.n_failures += 1
    if permanent or run.n_failures >= run.max_failures:
        end_run(session, run, RunState.FAILED, reason)
    else:
        wait_s = BACKOFF_S[min(run.n_failures, len(BACKOFF_S)) - 1]
        run.not_before = now() + timedelta(seconds=wait_s)
        _queue_again(session, run, reason)


def preempt(session: Session, attempt: Attempt, reason: str) -> None:
    """The machine went away, through no fault of the run."""
    _end_attempt(session, attempt, AttemptState.PREEMPTED, reason)
    run = _run_of(session, attempt)
    run.n_preemptions += 1
    if run.n_preemptions >= run.max_preemptions:
        end_run(session, run, RunState.FAILED, f"lost its machine {run.n_preemptions} times")
    else:
        _queue_again(session, run, reason)


def put_back(session: Session, attempt: Attempt, reason: str) -> None:
    """It stopped because it was asked to (pause, shutdown), or never began; charged to nobody."""
    _end_attempt(session, attempt, AttemptState.STOPPED, reason)
    _queue_again(session, _run_of(session, attempt), reason)


def cancelled(session: Session, attempt: Attempt) -> None:
    """Its worker was killed, for nobody wanted the run; somebody may have asked for it since."""
    _end_attempt(session, attempt, AttemptState.CANCELLED, "cancelled")
    _queue_again(session, _run_of(session, attempt), "cancelled, then asked for again")


def refuse(session: Session, run: Run, reason: str) -> None:
    """A queued run that this program must not train."""
    if run.state is RunState.QUEUED:
        end_run(session, run, RunState.FAILED, reason)


def requeue(session: Session, run: Run) -> None:
    """A failed or cancelled run that someone asks for again."""
    run.n_failures = run.n_preemptions = 0
    run.state, run.reason, run.ended_at, run.not_before = RunState.QUEUED, None, None, None
    session.flush()
    say_run(session, run)


def _run_of(session: Session, attempt: Attempt) -> Run:
    return session.get_one(Run, attempt.run_id)


def _end_attempt(
    session: Session, attempt: Attempt, state: AttemptState, reason: str | None
) -> None:
    """Raises FencedError: the attempt was over already, so a late word about it does not count."""
    ended = session.execute(
        update(Attempt)
        .where(Attempt.id == attempt.id, Attempt.state.in_(ATTEMPT_LIVE))
        .values(state=state, reason=reason, ended_at=now())
        .returning(Attempt.id)
    ).one_or_none()
    if ended is None:
        raise FencedError(f"attempt {attempt.number} of run {attempt.run_id} is over already")
    session.refresh(attempt)


def end_run(session: Session, run: Run, state: RunState, reason: str | None) -> None:
    run.state, run.reason, run.ended_at = state, reason, now()
    session.flush()
    say_run(session, run)
    settle_all(session, run)


def _queue_again(session: Session, run: Run, reason: str) -> None:
    """Or nowhere, if nobody wants the run any more."""
    if not is_wanted(session, run, (*WANTING, SweepState.PAUSED)):
        end_run(session, run, RunState.CANCELLED, "cancelled")
        return
    run.state, run.reason = RunState.QUEUED, reason
    session.flush()
    say_run(session, run)
