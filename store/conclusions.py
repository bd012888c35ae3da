"""Reading and adding fits, recommendations and launches."""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.answers import FitRow, Launch, RecommendationRow
from store.errors import NotFoundError

_Row = TypeVar("_Row", FitRow, RecommendationRow, Launch)


def add_fit(session: Session, **columns: Any) -> FitRow:
    return _add(session, FitRow(**columns))


def add_recommendation(session: Session, **columns: Any) -> RecommendationRow:
    return _add(session, RecommendationRow(**columns))


def add_launch(session: Session, **columns: Any) -> Launch:
    return _add(session, Launch(**columns))


def get_fit(session: Session, fit_id: int) -> FitRow:
    """Raises NotFoundError, as do the two below."""
    return _get(session, FitRow, "fit", fit_id)


def get_recommendation(session: Session, recommendation_id: int) -> RecommendationRow:
    return _get(session, RecommendationRow, "recommendation", recommendation_id)


def get_launch(session: Session, launch_id: int) -> Launch:
    return _get(session, Launch, "launch", launch_id)


def list_fits(
    session: Session,
    *,
    sweep_id: int | None = None,
    study_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[FitRow]:
    """Newest first, as the two below; the last id is the next page's `before`."""
    query = select(FitRow).order_by(FitRow.id.desc()).limit(limit)
    for column, value in ((FitRow.sweep_id, sweep_id), (FitRow.study_id, study_id)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(FitRow.id < before)
    return session.scalars(query).all()


def list_recommendations(
    session: Session, *, fit_id: int | None = None, before: int | None = None, limit: int = 50
) -> Sequence[RecommendationRow]:
    query = select(RecommendationRow).order_by(RecommendationRow.id.desc()).limit(limit)
    if fit_id is not None:
        query = query.where(RecommendationRow.fit_id == fit_id)
    if before is not None:
        query = query.where(RecommendationRow.id < before)
    return session.scalars(query).all()


def list_launched(
    session: Session, *, sweep_id: int | None = None, study_id: int | None = None
) -> Sequence[RecommendationRow]:
    """Recommendations of any fit of a sweep or study that were acted on."""
    source = FitRow.sweep_id == sweep_id if sweep_id is not None else FitRow.study_id == study_id
    launched = select(Launch.recommendation_id)
    query = select(RecommendationRow).join(FitRow).where(source, RecommendationRow.id.in_(launched))
    return session.scalars(query.order_by(RecommendationRow.id.desc())).all()


def list_launches(
    session: Session, *, before: int | None = None, limit: int = 50
) -> Sequence[Launch]:
    query = select(Launch).order_by(Launch.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Launch.id < before)
    return session.scalars(query).all()


def launch_of_run(session: Session, run_id: int) -> Launch | None:
    return session.scalars(select(Launch).where(Launch.run_id == run_id)).one_or_none()


def launches_of(session: Session, recommendation_id: int) -> Sequence[Launch]:
    """Oldest first: a recommendation may be launched with more than one limit of epochs."""
    return session.scalars(
        select(Launch).where(Launch.recommendation_id == recommendation_id).order_by(Launch.id)
    ).all()


def _add(session: Session, row: _Row) -> _Row:
    session.add(row)
    session.flush()
    return row


def _get(session: Session, table: type[_Row], kind: str, key: int) -> _Row:
    row = session.get(table, key)
    if row is None:
        raise NotFoundError(kind, key)
    return row
