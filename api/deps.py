"""What routes ask for: the engine, a transaction, an id, a page of a list.

`scope="function"`: the transaction ends before the answer leaves, so a failed commit is an error
and never a success that did not happen.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fitting.errors import InputError
from store.engine import reading, writing
from store.settings import Settings

T = TypeVar("T")
MAX_ID = 2**31 - 1  # of INTEGER in PostgreSQL, which refuses to compare with more


def engine_of(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


def settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


EngineDep = Annotated[Engine, Depends(engine_of)]
SettingsDep = Annotated[Settings, Depends(settings_of)]


def _reading(engine: EngineDep) -> Iterator[Session]:
    with reading(engine) as session:
        yield session


def _writing(engine: EngineDep) -> Iterator[Session]:
    with writing(engine) as session:
        yield session


Reading = Annotated[Session, Depends(_reading, scope="function")]
Writing = Annotated[Session, Depends(_writing, scope="function")]
Id = Annotated[int, Path(ge=1, le=MAX_ID)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Items per page")]
Cursor = Annotated[
    str | None, Query(max_length=64, description="`next_cursor` of the page before; opaque")
]


class Page(BaseModel, Generic[T]):
    """A part of a list. The cursor is a key, not an offset: rows that come or go while someone
    pages through neither repeat nor hide others."""

    items: list[T]
    next_cursor: str | None


def page(rows: Sequence[Any], limit: int, convert: Callable[[Any], T]) -> Page[T]:
    """`rows` were asked for with `limit + 1`: one more says that there is a next page."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page[Any](
        items=[convert(row) for row in shown], next_cursor=_encode(shown[-1].id) if more else None
    )


def key_of(cursor: str | None) -> int | None:
    """The id in a cursor.

    Raises:
        InputError: not one of ours.
    """
    if cursor is None:
        return None
    try:
        key = int(base64.urlsafe_b64decode(cursor.encode()).decode())
    except (ValueError, binascii.Error):
        key = 0
    if not 1 <= key <= MAX_ID:
        raise InputError(
            f"cursor must be the next_cursor of another page; got {cursor!r}", field="cursor"
        )
    return key


def _encode(key: int) -> str:
    return base64.urlsafe_b64encode(str(key).encode()).decode()
