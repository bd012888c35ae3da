"""What a person may ask of a sweep or a launch. The web process calls these.

pause    running runs are checkpointed and wait in the queue; nothing new starts
resume   the queue goes on
stop     what has not begun is dropped, what runs may finish; the sweep ends with what it has
cancel   running runs are killed, the rest is dropped; final
retry    failed and cancelled runs are queued again, with fresh budgets
"""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from store.answers import Launch
from store.columns import now
from store.conclusions import get_launch
from store.control import Event
from store.errors import ConflictError
from store.models import Run, Sweep, SweepRun
from store.states import RUN_OVER, SWEEP_OVER, RunState, SweepState
from store.sweeps import get_sweep
from sweeper.attempts import end_run, requeue
from sweeper.settling import WANTING, is_wanted, set_state, settle


def pause_sweep(session: Session, sweep_id: int) -> Sweep:
    """Raises ConflictError (as do all verbs): the sweep is over or stopping."""
    sweep = _open(session, sweep_id, SweepState.PAUSED, forbid=(SweepState.STOPPING,))
    return set_state(session, sweep, SweepState.PAUSED)


def resume_sweep(session: Session, sweep_id: int) -> Sweep:
    sweep = _open(session, sweep_id, SweepState.RUNNING, forbid=(SweepState.STOPPING,))
    if sweep.state is SweepState.PAUSED:
        set_state(session, sweep, SweepState.RUNNING)
        settle(session, sweep)
    return sweep


def stop_sweep(session: Session, sweep_id: int) -> Sweep:
    sweep = _open(session, sweep_id, SweepState.STOPPING)
    set_state(session, sweep, SweepState.STOPPING)
    _drop_queued(session, sweep, "its sweep was stopped")
    settle(session, sweep)
    return sweep


def cancel_sweep(session: Session, sweep_id: int) -> Sweep:
    sweep = get_sweep(session, sweep_id)
    if sweep.state is SweepState.CANCELLED:
        return sweep
    _open(session, sweep_id, SweepState.CANCELLED)
    sweep.ended_at = now()
    set_state(session, sweep, SweepState.CANCELLED)
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
        set_state(session, sweep, SweepState.RUNNING)
    return sweep


def cancel_launch(session: Session, launch_id: int) -> Launch:
    """Drop the final run, unless a sweep wants it too; the sealed forecast stays."""
    launch = get_launch(session, launch_id)
    run = session.get_one(Run, launch.run_id)
    if run.state in RUN_OVER and launch.cancelled_at is None:
        raise ConflictError("launch", launch_id, found=run.state, wanted="cancelled")
    launch.cancelled_at = launch.cancelled_at or now()
    session.flush()
    wanted = is_wanted(session, run, (*WANTING, SweepState.PAUSED))
    if run.state is RunState.QUEUED and not wanted:
        end_run(session, run, RunState.CANCELLED, "its launch was cancelled")
    return launch


def _open(
    session: Session, sweep_id: int, wanted: SweepState, forbid: tuple[SweepState, ...] = ()
) -> Sweep:
    sweep = get_sweep(session, sweep_id)
    if sweep.state in (*SWEEP_OVER, *forbid):
        raise ConflictError("sweep", sweep_id, found=sweep.state, wanted=wanted)
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
