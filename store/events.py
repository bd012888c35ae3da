"""The record of what happened, in order. Its ids are the ids of the server-sent events."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.control import Event


def append(
    session: Session,
    kind: str,
    *,
    sweep_id: int | None = None,
    run_id: int | None = None,
    **data: Any,
) -> Event:
    """Write down `kind` ("run.state", …) in the caller's transaction.

    A reader that remembers the last id misses nothing: `store.engine.writing` lets one writer in
    at a time, so ids are seen in the order in which they are given.
    """
    event = Event(kind=kind, sweep_id=sweep_id, run_id=run_id, data=data)
    session.add(event)
    session.flush()
    return event


def after(
    session: Session, last_id: int, *, sweep_id: int | None = None, limit: int = 500
) -> Sequence[Event]:
    """Events with an id above `last_id`, oldest first."""
    query = select(Event).where(Event.id > last_id).order_by(Event.id).limit(limit)
    if sweep_id is not None:
        query = query.where(Event.sweep_id == sweep_id)
    return session.scalars(query).all()


def last_id(session: Session) -> int:
    """Id of the newest event, 0 if there is none."""
    return session.scalar(select(func.max(Event.id))) or 0
