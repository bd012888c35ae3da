"""Reading and adding runs and their attempts. Their states change in `sweeper.attempts`.

Functions take an open `Session` and never commit: the caller's `with writing(engine) as session:`
is the transaction.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from store.errors import NotFoundError
from store.models import Attempt, Measurement, Run, Sweep, SweepRun
from store.states import ATTEMPT_LIVE, RunState
from store.upsert import insert_missing

N_IN_QUERY = 500  # SQLite takes a limited number of values in one


def get_run(session: Session, run_id: int) -> Run:
    """Raises NotFoundError: no run has this id."""
    run = session.get(Run, run_id)
    if run is None:
        raise NotFoundError("run", run_id)
    return run


def find_or_add_runs(session: Session, code_hash: str, rows: Sequence[dict[str, Any]]) -> list[Run]:
    """The runs with these identities (`spec_hash` and the code): those that are there, and new
    queued ones. In bulk, for nobody else writes meanwhile."""
    insert_missing(session, Run, [{"code_hash": code_hash, **row} for row in rows])
    hashes = [row["spec_hash"] for row in rows]
    found: dict[str, Run] = {}
    for i in range(0, len(hashes), N_IN_QUERY):
        some = Run.spec_hash.in_(hashes[i : i + N_IN_QUERY])
        same = session.scalars(select(Run).where(some, Run.code_hash == code_hash))
        found |= {run.spec_hash: run for run in same}
    return [found[h] for h in hashes]


def list_runs(
    session: Session,
    *,
    sweep_id: int | None = None,
    state: RunState | None = None,
    after: int = 0,
    limit: int = 100,
) -> Sequence[Run]:
    """Runs with an id above `after`, in order of id: the last id is the next page's cursor."""
    query = select(Run).where(Run.id > after).order_by(Run.id).limit(limit)
    if sweep_id is not None:
        query = query.join(SweepRun).where(SweepRun.sweep_id == sweep_id)
    if state is not None:
        query = query.where(Run.state == state)
    return session.scalars(query).all()


def measured_runs(session: Session, sweep_ids: Sequence[int]) -> Sequence[Run]:
    """Runs of these sweeps with a point or more, those that diverged later too."""
    wanted = select(SweepRun.run_id).where(SweepRun.sweep_id.in_(sweep_ids))
    measured = exists().where(Measurement.run_id == Run.id)
    return session.scalars(select(Run).where(Run.id.in_(wanted), measured).order_by(Run.id)).all()


def largest_finished(session: Session, sweep_id: int) -> Run | None:
    """The first of those with most parameters."""
    return session.scalars(
        select(Run)
        .join(SweepRun)
        .where(SweepRun.sweep_id == sweep_id, Run.state == RunState.FINISHED)
        .order_by(Run.n_params.desc(), Run.id)
        .limit(1)
    ).one_or_none()


def speeds(session: Session, sweep_id: int) -> list[tuple[int, float, float]]:
    """(N, tokens/s, devices) of every finished run of a sweep that was timed, the largest first."""
    last = select(func.max(Attempt.number)).where(Attempt.run_id == Run.id).correlate(Run)
    rows = session.execute(
        select(Run.n_params, Run.tok_s, Attempt.n_devices)
        .join(SweepRun)
        .outerjoin(Attempt, (Attempt.run_id == Run.id) & (Attempt.number == last.scalar_subquery()))
        .where(SweepRun.sweep_id == sweep_id, Run.state == RunState.FINISHED, Run.tok_s > 0)
        .order_by(Run.n_params.desc(), Run.id)
    )
    return [(n_params, tok_s or 0.0, n_devices or 1.0) for n_params, tok_s, n_devices in rows]


def sweeps_of_run(session: Session, run_id: int) -> Sequence[Sweep]:
    return session.scalars(
        select(Sweep).join(SweepRun).where(SweepRun.run_id == run_id).order_by(Sweep.id)
    ).all()


def attempts_of_run(session: Session, run_id: int) -> Sequence[Attempt]:
    return session.scalars(
        select(Attempt).where(Attempt.run_id == run_id).order_by(Attempt.number)
    ).all()


def measured_energy(session: Session, run_id: int) -> tuple[float, str] | None:
    """Energy of all attempts [kWh] and its source; None if one of them was not metered."""
    found = [(a.energy_kwh, a.energy_source) for a in attempts_of_run(session, run_id)]
    known = [kwh for kwh, _ in found if kwh is not None]
    if not found or len(known) < len(found):
        return None
    return sum(known), ", ".join(sorted({source or "unknown" for _, source in found}))


def latest_attempt(session: Session, run_id: int) -> Attempt | None:
    return session.scalars(
        select(Attempt).where(Attempt.run_id == run_id).order_by(Attempt.number.desc()).limit(1)
    ).one_or_none()


def live_attempts(session: Session) -> Sequence[Attempt]:
    """All executions that SQL believes to be under way."""
    return session.scalars(
        select(Attempt).where(Attempt.state.in_(ATTEMPT_LIVE)).order_by(Attempt.id)
    ).all()
