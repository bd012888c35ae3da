"""/v1/events: what happens, as it happens (server-sent events), from the events table.

A client that comes back sends `Last-Event-ID` and misses nothing: ids are the table's.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool

from api.deps import MAX_ID, EngineDep
from store import events
from store.control import Event
from store.engine import reading

router = APIRouter(prefix="/v1/events", tags=["events"])
POLL_S = 0.5
NEWEST = 2**63 - 1  # no event has a larger id


class Tail:
    """The newest id, asked for once per interval whatever the number of listeners."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.last_id, self.asked_at = engine, 0, 0.0

    async def newest(self) -> int:
        if time.monotonic() - self.asked_at >= POLL_S:
            self.asked_at = time.monotonic()
            self.last_id = await run_in_threadpool(self._query)
        return self.last_id

    def _query(self) -> int:
        with reading(self.engine) as session:
            return events.last_id(session)


@router.get("", response_class=EventSourceResponse)
async def stream_events(
    request: Request,
    engine: EngineDep,
    last_event_id: Annotated[int, Header(ge=0, le=NEWEST)] = 0,
    sweep_id: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    *,
    follow: Annotated[bool, Query(description="false: end after what has happened")] = True,
) -> AsyncIterator[ServerSentEvent]:
    """Everything after Last-Event-ID, then whatever comes."""
    tail = _tail(request, engine)
    seen = last_event_id
    while True:
        newest = await tail.newest() if follow else NEWEST
        while seen < newest:
            batch = await run_in_threadpool(_after, engine, seen, sweep_id)
            for event in batch:
                yield _as_sse(event)
            seen = batch[-1].id if batch else newest
        if not follow:
            return
        await asyncio.sleep(POLL_S)


def _tail(request: Request, engine: Engine) -> Tail:
    state = request.app.state
    if not hasattr(state, "tail"):
        state.tail = Tail(engine)
    tail: Tail = state.tail
    return tail


def _after(engine: Engine, last_id: int, sweep_id: int | None) -> Sequence[Event]:
    with reading(engine) as session:
        return events.after(session, last_id, sweep_id=sweep_id)


def _as_sse(event: Event) -> ServerSentEvent:
    data = event.data | {
        "at": event.at.isoformat(),
        "sweep_id": event.sweep_id,
        "run_id": event.run_id,
    }
    text = json.dumps(data, allow_nan=False)
    return ServerSentEvent(raw_data=text, event=event.kind, id=str(event.id))
