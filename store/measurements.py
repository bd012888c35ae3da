"""Reading and adding measurements, of runs and of studies."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.errors import NotFoundError
from store.models import Measurement, Run, Study, SweepRun
from store.sweeps import with_extended

COLUMNS = tuple(
    c.key
    for c in Measurement.__table__.columns
    if c.key not in ("id", "run_id", "study_id", "extra")
)


def add_to_run(session: Session, run: Run, values: Mapping[str, Any]) -> Measurement:
    """A point of `run` at its `n_tokens`; the same horizon again changes nothing.

    Keys that are no column are kept in `extra`.
    """
    known = session.scalars(
        select(Measurement).where(
            Measurement.run_id == run.id, Measurement.n_tokens == values["n_tokens"]
        )
    ).one_or_none()
    if known is not None:
        return known
    return _add(session, {"run_id": run.id}, values)


def add_study(
    session: Session, *, name: str, rows: Iterable[Mapping[str, Any]], about: dict[str, Any]
) -> Study:
    """A study and its measurements. The caller has validated the rows (`fitting.measurements`)."""
    study = Study(name=name, about=about)
    session.add(study)
    session.flush()
    for row in rows:
        _add(session, {"study_id": study.id}, row)
    return study


def _add(session: Session, owner: dict[str, int], values: Mapping[str, Any]) -> Measurement:
    named = {k: v for k, v in values.items() if k in COLUMNS}
    extra = {k: v for k, v in values.items() if k not in COLUMNS}
    row = Measurement(**owner, **named, extra=extra)
    session.add(row)
    session.flush()
    return row


def get_study(session: Session, study_id: int) -> Study:
    """Raises NotFoundError: no study has this id."""
    study = session.get(Study, study_id)
    if study is None:
        raise NotFoundError("study", study_id)
    return study


def find_study(session: Session, name: str) -> Study | None:
    return session.scalars(select(Study).where(Study.name == name)).one_or_none()


def list_studies(session: Session, *, after: int = 0, limit: int = 100) -> Sequence[Study]:
    return session.scalars(
        select(Study).where(Study.id > after).order_by(Study.id).limit(limit)
    ).all()


def of_sweep(session: Session, sweep_id: int) -> Sequence[Measurement]:
    """All points of a sweep's runs and of the sweeps that it extends, by size and tokens."""
    wanted = select(SweepRun.run_id).where(SweepRun.sweep_id.in_(with_extended(session, sweep_id)))
    return session.scalars(
        select(Measurement)
        .where(Measurement.run_id.in_(wanted))
        .order_by(Measurement.n_params, Measurement.n_tokens, Measurement.id)
    ).all()


def of_study(session: Session, study_id: int) -> Sequence[Measurement]:
    """All points of a study, in the order of its file."""
    return session.scalars(
        select(Measurement).where(Measurement.study_id == study_id).order_by(Measurement.id)
    ).all()


def of_run(session: Session, run_id: int) -> Sequence[Measurement]:
    return session.scalars(
        select(Measurement).where(Measurement.run_id == run_id).order_by(Measurement.n_tokens)
    ).all()


def as_row(m: Measurement) -> dict[str, Any]:
    """The point as one row of a table, ready for `fitting.measurements`."""
    row = {name: getattr(m, name) for name in COLUMNS}
    return row | {"id": m.id, "run_id": m.run_id, "study_id": m.study_id} | m.extra
