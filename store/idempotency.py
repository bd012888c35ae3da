"""One answer per Idempotency-Key, remembered in SQL so that a restart does not forget it."""

import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from store.control import IdempotencyKey
from store.errors import KeyInFlightError, KeyReusedError
from store.upsert import insert_once


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the first request was answered."""

    status: int
    body: dict[str, Any]


def begin(session: Session, scope: str, key: str, body: bytes) -> Answer | None:
    """Reserve `key` for this body: None, and the caller does the work and calls `finish` in the
    same transaction; or the answer given before. The same key in another scope is another one.

    Raises:
        KeyReusedError: the key came with another body (422).
        KeyInFlightError: the first request was committed without an answer (409).
    """
    full_key = _full(scope, key)
    if insert_once(session, IdempotencyKey, key=full_key, body_sha256=_digest(body)):
        return None
    return find(session, scope, key, body)


def find(session: Session, scope: str, key: str, body: bytes) -> Answer | None:
    """The answer given before, or None. Raises what `begin` does."""
    row = session.get(IdempotencyKey, _full(scope, key))
    if row is None:
        return None
    if row.body_sha256 != _digest(body):
        raise KeyReusedError(key)
    if row.status is None or row.answer is None:
        raise KeyInFlightError(key)
    return Answer(status=row.status, body=row.answer)


def finish(session: Session, scope: str, key: str, *, status: int, body: dict[str, Any]) -> None:
    """Remember the answer."""
    row = session.get_one(IdempotencyKey, _full(scope, key))
    row.status, row.answer = status, body
    session.flush()


def _full(scope: str, key: str) -> str:
    return f"{scope}:{key}"


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
