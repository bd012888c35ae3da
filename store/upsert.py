"""Insert a row unless it is there, in one statement on both databases."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.columns import Base


def insert_once(session: Session, table: type[Base], **values: Any) -> bool:
    """True if the row is new, False if one with its key was there.

    A concurrent transaction that is inserting the same key is waited for.
    """
    postgres = session.get_bind().dialect.name == "postgresql"
    insert = (postgresql.insert if postgres else sqlite.insert)(table)
    keys = list(table.__mapper__.primary_key)
    added = session.execute(
        insert.values(**values).on_conflict_do_nothing().returning(*keys)
    ).one_or_none()
    return added is not None
