"""Every change of state of a sweep, a run or an attempt happens here, and is written down as an
event in the same transaction.

    run      queued → running → finished | diverged | failed | cancelled, or back to queued
    sweep    queued → running → finished | failed;  pause, resume, stop, cancel, retry

pause    running runs are checkpointed and wait in the queue; nothing new starts
resume   the queue goes on
stop     what has not begun is dropped, what runs may finish; the sweep ends with what it has
cancel   running runs are killed, the rest is dropped; final
retry    failed and cancelled runs are queued again, with fresh budgets

No torch and no Ray here: the web process calls the verbs, the dispatcher calls the rest.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from store import events
from store.answers import Launch
from store.columns import now
from store.conclusions import get_launch
from store.control import Event
from store.errors import ConflictError, FencedError
from store.models import Attempt, Run, Sweep, SweepRun
from store.runs import latest_attempt, sweeps_of_run
from store.states import (
    ATTEMPT_LIVE,
    RUN_OVER,
    SWEEP_OVER,
    AttemptState,
    RunKind,
    RunState,
    SweepState,
)
from store.sweeps import get_sweep, progress

# A run may start while a sweep that wants it is in one of these. STOPPING too: at that moment all
# its queued runs were dropped, so what is queued since had begun and goes on after a fault.
WANTING = (SweepState.QUEUED, SweepState.RUNNING, SweepState.STOPPING)
BACKOFF_S = (1.0, 5.0, 30.0)  # after the first, second, any later failure


# -- runs and attempts: the dispatcher's ---------------------------------------------------


def claim(session: Session, run: Run, *, worker: str, n_devices: int = 1) -> Attempt | None:
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
    _settle_all(session, run)
    return attempt


def attempt_runs(session: Session, attempt: Attempt) -> None:
    """Its worker was seen at work."""
    if attempt.state is AttemptState.STARTING:
        attempt.state = AttemptState.RUNNING
        session.flush()


def finish(session: Session, attempt: Attempt, outcome: RunState, *, reason: str | None) -> None:
    """The run ended by itself: FINISHED or DIVERGED."""
    _end_attempt(session, attempt, AttemptState(outcome.value), reason)
    _end_run(session, _run_of(session, attempt), outcome, reason)


def fail(session: Session, attempt: Attempt, reason: str, *, permanent: bool = False) -> None:
    """The attempt broke: again from its checkpoint, or FAILED once the budget is spent (or at
    once if another try cannot help)."""
    _end_attempt(session, attempt, AttemptState.FAILED, reason)
    run = _run_of(session, attempt)
    run.n_failures += 1
    if permanent or run.n_failures >= run.max_failures:
        _end_run(session, run, RunState.FAILED, reason)
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
        _end_run(session, run, RunState.FAILED, f"lost its machine {run.n_preemptions} times")
    else:
        _queue_again(session, run, reason)


def put_back(session: Session, attempt: Attempt, reason: str) -> None:
    """It stopped because it was asked to (pause, shutdown), or never began; charged to nobody."""
    _end_attempt(session, attempt, AttemptState.STOPPED, reason)
    _queue_again(session, _run_of(session, attempt), reason)


def cancelled(session: Session, attempt: Attempt) -> None:
    """Its worker is certainly dead and nobody wants the run."""
    _end_attempt(session, attempt, AttemptState.CANCELLED, "cancelled")
    _end_run(session, _run_of(session, attempt), RunState.CANCELLED, "cancelled")


def refuse(session: Session, run: Run, reason: str) -> None:
    """A queued run that this program must not train."""
    if run.state is RunState.QUEUED:
        _end_run(session, run, RunState.FAILED, reason)


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


def _end_run(session: Session, run: Run, state: RunState, reason: str | None) -> None:
    run.state, run.reason, run.ended_at = state, reason, now()
    session.flush()
    say_run(session, run)
    _settle_all(session, run)


def _queue_again(session: Session, run: Run, reason: str) -> None:
    run.state, run.reason = RunState.QUEUED, reason
    session.flush()
    say_run(session, run)
    if not is_wanted(session, run, (*WANTING, SweepState.PAUSED)):
        _end_run(session, run, RunState.CANCELLED, "cancelled")


def is_wanted(session: Session, run: Run, states: tuple[SweepState, ...] = WANTING) -> bool:
    """Whether a sweep in one of `states`, or a launch, still asks for this run."""
    if run.kind is RunKind.FINAL and _launch_wants(session, run):
        return True
    return any(sweep.state in states for sweep in sweeps_of_run(session, run.id))


def _launch_wants(session: Session, run: Run) -> bool:
    return bool(
        session.scalar(
            select(exists().where(Launch.run_id == run.id, Launch.cancelled_at.is_(None)))
        )
    )


# -- sweeps: what a person may ask for ------------------------------------------------------


def pause_sweep(session: Session, sweep_id: int) -> Sweep:
    """Raises ConflictError (as do all verbs): the sweep is over or stopping."""
    sweep = _open(session, sweep_id, SweepState.PAUSED, forbid=(SweepState.STOPPING,))
    return _set(session, sweep, SweepState.PAUSED)


def resume_sweep(session: Session, sweep_id: int) -> Sweep:
    sweep = _open(session, sweep_id, SweepState.RUNNING, forbid=(SweepState.STOPPING,))
    if sweep.state is SweepState.PAUSED:
        _set(session, sweep, SweepState.RUNNING)
        settle(session, sweep)
    return sweep


def stop_sweep(session: Session, sweep_id: int) -> Sweep:
    sweep = _open(session, sweep_id, SweepState.STOPPING)
    _set(session, sweep, SweepState.STOPPING)
    _drop_queued(session, sweep, "its sweep was stopped")
    settle(session, sweep)
    return sweep


def cancel_sweep(session: Session, sweep_id: int) -> Sweep:
    sweep = get_sweep(session, sweep_id)
    if sweep.state is SweepState.CANCELLED:
        return sweep
    _open(session, sweep_id, SweepState.CANCELLED)
    sweep.ended_at = now()
    _set(session, sweep, SweepState.CANCELLED)
    _drop_queued(session, sweep, "its sweep was cancelled")
    return sweep


def retry_sweep(session: Session, sweep_id: int) -> Sweep:
    """Queue the failed and the cancelled runs again; what finished or diverged stays."""
    sweep = get_sweep(session, sweep_id)
    if sweep.state in (SweepState.CANCELLED, SweepState.STOPPING):
        raise ConflictError("sweep", sweep_id, found=sweep.state, wanted="retried")
    again = _runs(session, sweep, RunState.FAILED, RunState.CANCELLED)
    for run in again:
        requeue(session, run)
    if again and sweep.state in SWEEP_OVER:
        sweep.ended_at, sweep.reason = None, None
        _set(session, sweep, SweepState.RUNNING)
    return sweep


def cancel_launch(session: Session, launch_id: int) -> Launch:
    """Drop the final run; the sealed forecast stays."""
    launch = get_launch(session, launch_id)
    run = session.get_one(Run, launch.run_id)
    if run.state in RUN_OVER and launch.cancelled_at is None:
        raise ConflictError("launch", launch_id, found=run.state, wanted="cancelled")
    launch.cancelled_at = launch.cancelled_at or now()
    session.flush()
    if run.state is RunState.QUEUED:
        _end_run(session, run, RunState.CANCELLED, "its launch was cancelled")
    return launch


def requeue(session: Session, run: Run) -> None:
    """A failed or cancelled run that someone asks for again."""
    run.n_failures = run.n_preemptions = 0
    run.state, run.reason, run.ended_at, run.not_before = RunState.QUEUED, None, None, None
    session.flush()
    say_run(session, run)


def settle(session: Session, sweep: Sweep) -> None:
    """Bring a sweep's state in line with its runs: begun, or over."""
    if sweep.state not in WANTING:
        return
    done = progress(session, sweep.id)
    if done.n_over == done.n_runs:
        usable = done.counts[RunState.FINISHED.value] > 0
        stopped = SweepState.CANCELLED if sweep.state is SweepState.STOPPING else SweepState.FAILED
        sweep.ended_at = now()
        if not usable:
            sweep.reason = "no run finished: " + _most(done.counts)
        _set(session, sweep, SweepState.FINISHED if usable else stopped)
    elif sweep.state is SweepState.QUEUED and done.counts[RunState.QUEUED.value] < done.n_runs:
        _set(session, sweep, SweepState.RUNNING)


def _most(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {state}" for state, n in counts.items() if n)


def _settle_all(session: Session, run: Run) -> None:
    for sweep in sweeps_of_run(session, run.id):
        settle(session, sweep)


def _open(
    session: Session, sweep_id: int, wanted: SweepState, forbid: tuple[SweepState, ...] = ()
) -> Sweep:
    sweep = get_sweep(session, sweep_id)
    if sweep.state in (*SWEEP_OVER, *forbid):
        raise ConflictError("sweep", sweep_id, found=sweep.state, wanted=wanted)
    return sweep


def _set(session: Session, sweep: Sweep, state: SweepState) -> Sweep:
    if sweep.state is not state:
        sweep.state = state
        session.flush()
        events.append(session, "sweep.state", sweep_id=sweep.id, state=state.value)
    return sweep


def _runs(session: Session, sweep: Sweep, *states: RunState) -> list[Run]:
    query = select(Run).join(SweepRun).where(SweepRun.sweep_id == sweep.id, Run.state.in_(states))
    return list(session.scalars(query.order_by(Run.id)))


def _drop_queued(session: Session, sweep: Sweep, reason: str) -> None:
    """Cancel the queued runs of `sweep` that nobody else wants; in bulk, for there may be many."""
    mine = select(SweepRun.run_id).where(SweepRun.sweep_id == sweep.id)
    others = (
        select(SweepRun.run_id)
        .join(Sweep)
        .where(Sweep.id != sweep.id, Sweep.state.in_((*WANTING, SweepState.PAUSED)))
    )
    launched = select(Launch.run_id).where(Launch.cancelled_at.is_(None))
    dropped = session.scalars(
        update(Run)
        .where(
            Run.state == RunState.QUEUED,
            Run.id.in_(mine),
            Run.id.not_in(others),
            Run.id.not_in(launched),
        )
        .values(state=RunState.CANCELLED, reason=reason, ended_at=now())
        .returning(Run.id)
    ).all()
    said = {"state": RunState.CANCELLED.value, "reason": reason}
    session.add_all(
        Event(kind="run.state", sweep_id=sweep.id, run_id=run_id, data=said)
        for run_id in sorted(dropped)
    )
    session.flush()


def say_run(session: Session, run: Run, *, kind: str = "run.state", **data: Any) -> None:
    """One event for each sweep that wants the run, so that a sweep's own stream is complete."""
    said = {"state": run.state.value, "reason": run.reason, **data}
    for sweep_id in sweep_ids(session, run):
        events.append(session, kind, sweep_id=sweep_id, run_id=run.id, **said)


def sweep_ids(session: Session, run: Run) -> list[int] | list[None]:
    """Whom to tell about this run: its sweeps, or nobody in particular."""
    return [sweep.id for sweep in sweeps_of_run(session, run.id)] or [None]
