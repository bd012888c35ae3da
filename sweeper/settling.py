"""What a sweep's state follows from: its runs. And whether anybody still wants a run.

    run      queued → running → finished | diverged | failed | cancelled, or back to queued
    sweep    queued → running → finished | failed;  pause, resume, stop, cancel, retry

Runs and attempts change in `sweeper.attempts`, what a person asks for is in `sweeper.verbs`; every
change is written down as an event in the same transaction. No torch and no Ray here.
"""

from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from store import events
from store.answers import Launch
from store.columns import now
from store.models import Run, Sweep
from store.runs import sweeps_of_run
from store.states import SWEEP_OVER, RunKind, RunState, SweepState
from store.sweeps import progress

# A run may start while a sweep that wants it is in one of these. STOPPING too: at that moment all
# its queued runs were dropped, so what is queued since had begun and goes on after a fault.
WANTING = (SweepState.QUEUED, SweepState.RUNNING, SweepState.STOPPING)


def is_wanted(session: Session, run: Run, states: tuple[SweepState, ...] = WANTING) -> bool:
    """Whether a sweep in one of `states`, or a launch, still asks for this run."""
    if is_launched(session, run):
        return True
    return any(sweep.state in states for sweep in sweeps_of_run(session, run.id))


def is_launched(session: Session, run: Run) -> bool:
    """Whether a launch still asks for this run."""
    return run.kind is RunKind.FINAL and bool(
        session.scalar(
            select(exists().where(Launch.run_id == run.id, Launch.cancelled_at.is_(None)))
        )
    )


def settle(session: Session, sweep: Sweep) -> None:
    """Bring a sweep's state in line with its runs: begun, or over (a paused one too, if what ran
    when it was paused was the last)."""
    if sweep.state in SWEEP_OVER:
        return
    done = progress(session, sweep.id)
    if done.n_over == done.n_runs:
        usable = done.counts[RunState.FINISHED.value] > 0
        stopped = SweepState.CANCELLED if sweep.state is SweepState.STOPPING else SweepState.FAILED
        sweep.ended_at = now()
        if not usable:
            sweep.reason = "no run finished: " + _most(done.counts)
        set_state(session, sweep, SweepState.FINISHED if usable else stopped)
    elif sweep.state is SweepState.QUEUED and done.counts[RunState.QUEUED.value] < done.n_runs:
        set_state(session, sweep, SweepState.RUNNING)


def _most(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {state}" for state, n in counts.items() if n)


def settle_all(session: Session, run: Run) -> None:
    for sweep in sweeps_of_run(session, run.id):
        settle(session, sweep)


def set_state(session: Session, sweep: Sweep, state: SweepState) -> Sweep:
    if sweep.state is not state:
        sweep.state = state
        session.flush()
        events.append(session, "sweep.state", sweep_id=sweep.id, state=state.value)
    return sweep


def say_run(session: Session, run: Run, *, kind: str = "run.state", **data: Any) -> None:
    """One event for each sweep that wants the run, so that a sweep's own stream is complete."""
    said = {"state": run.state.value, "reason": run.reason, **data}
    for sweep_id in sweep_ids(session, run):
        events.append(session, kind, sweep_id=sweep_id, run_id=run.id, **said)


def sweep_ids(session: Session, run: Run) -> list[int] | list[None]:
    """Whom to tell about this run: its sweeps, or nobody in particular."""
    return [sweep.id for sweep in sweeps_of_run(session, run.id)] or [None]
