"""Insert rows unless they are there, in one statement on both databases."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.columns import Base


def insert_once(session: Session, table: type[Base], **values: Any) -> bool:
    """True if the row is new, False if one with its key was there.

    A concurrent transaction that is inserting the same key is waited for.
    """
    keys = list(table.__mapper__.primary_key)
    insert = _insert(session, table).values(**values)
    added = session.execute(insert.on_conflict_do_nothing().returning(*keys)).one_or_none()
    return added is not None


def insert_missing(session: Session, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Those whose key is not there. Each names the same columns."""
    if rows:
        session.execute(_insert(session, table).on_conflict_do_nothing(), rows)


def _insert(session: Session, table: type[Base]) -> Any:
    postgres = session.get_bind().dialect.name == "postgresql"
    return (postgresql.insert if postgres else sqlite.insert)(table)
