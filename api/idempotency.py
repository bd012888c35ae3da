"""`Idempotency-Key`: a POST that is repeated, by a nervous client or a flaky network, happens once.

The key, the answer and the work are one transaction: a twin that arrives meanwhile waits for it
and gets the same answer; after a crash neither the work nor the key is there.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Header, Response
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from store import idempotency
from store.engine import reading

KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Repeat a request with the same key and it is answered, not done, again",
    ),
]


def once(
    session: Session,
    response: Response,
    *,
    scope: str,
    key: str | None,
    body: Any,
    work: Callable[[], BaseModel],
    status: int = 201,
) -> dict[str, Any]:
    """Do `work` unless this key has been answered; the answer either way.

    Raises:
        KeyReusedError: the key came with another body.
    """
    response.status_code = status
    if key is None:
        return work().model_dump(mode="json")
    earlier = idempotency.begin(session, scope, key, _canonical(body))
    if earlier is not None:
        return _again(response, earlier)
    answer = work().model_dump(mode="json")
    idempotency.finish(session, scope, key, status=status, body=answer)
    return answer


def answered(
    engine: Engine, response: Response, *, scope: str, key: str | None, body: Any
) -> dict[str, Any] | None:
    """The answer of this key, for a route that has to prepare its work: what it prepares from may
    have changed since. None: do the work, with `once`.

    Raises:
        KeyReusedError: the key came with another body.
    """
    if key is None:
        return None
    with reading(engine) as session:
        earlier = idempotency.find(session, scope, key, _canonical(body))
    return None if earlier is None else _again(response, earlier)


def _again(response: Response, earlier: idempotency.Answer) -> dict[str, Any]:
    response.status_code = earlier.status
    response.headers["Idempotent-Replay"] = "true"
    return earlier.body


def _canonical(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
