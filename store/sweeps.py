"""Reading and adding sweeps."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.errors import NotFoundError
from store.models import Run, Sweep, SweepRun
from store.states import RUN_OVER, RunState, SweepState
from store.upsert import insert_missing


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a sweep is."""

    counts: dict[str, int]  # runs by state, every state named
    n_runs: int
    n_over: int
    flops: float  # of all its runs
    flops_done: float  # running runs count by their share of tokens
    n_tokens_done: int


def get_sweep(session: Session, sweep_id: int) -> Sweep:
    """Raises NotFoundError: no sweep has this id."""
    sweep = session.get(Sweep, sweep_id)
    if sweep is None:
        raise NotFoundError("sweep", sweep_id)
    return sweep


def with_extended(session: Session, sweep_id: int) -> list[int]:
    """The sweep, the one that it extends, and so on: their points are its law's."""
    found = [sweep_id]
    while (earlier := get_sweep(session, found[-1]).spec.get("extends")) is not None:
        found.append(earlier)
    return found


def list_sweeps(
    session: Session, *, state: SweepState | None = None, before: int | None = None, limit: int = 50
) -> Sequence[Sweep]:
    """Newest first; the last id is the next page's `before`."""
    query = select(Sweep).order_by(Sweep.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Sweep.id < before)
    if state is not None:
        query = query.where(Sweep.state == state)
    return session.scalars(query).all()


def link(session: Session, sweep: Sweep, *runs: Run) -> None:
    """Say that `sweep` wants `runs`; saying it twice changes nothing."""
    insert_missing(session, SweepRun, [{"sweep_id": sweep.id, "run_id": run.id} for run in runs])


def progress(session: Session, sweep_id: int) -> Progress:
    """Counted in the database, whatever the number of runs."""
    share = Run.n_tokens_done * 1.0 / Run.n_tokens
    rows = session.execute(
        select(
            Run.state,
            func.count(),
            func.sum(Run.flops),
            func.sum(Run.flops * share),
            func.sum(Run.n_tokens_done),
        )
        .join(SweepRun)
        .where(SweepRun.sweep_id == sweep_id)
        .group_by(Run.state)
    ).all()
    counts = {state.value: 0 for state in RunState} | {row[0].value: row[1] for row in rows}
    return Progress(
        counts=counts,
        n_runs=sum(counts.values()),
        n_over=sum(counts[s.value] for s in RUN_OVER),
        flops=float(sum(row[2] for row in rows)),
        flops_done=float(sum(row[3] for row in rows)),
        n_tokens_done=int(sum(row[4] for row in rows)),
    )
