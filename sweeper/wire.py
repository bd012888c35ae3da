"""What comes over the wire: problem documents back to errors, server-sent events to dicts."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2

from fitting.errors import InputError, RefusalError
from sweeper.errors import ServiceError

Json = dict[str, Any]


def raise_for(answer: httpx2.Response) -> None:
    if not answer.is_error:
        return
    problem = document(answer)
    if "detail" not in problem:
        raise ServiceError(f"{answer.url} answered {answer.status_code} without saying why")
    if answer.status_code in (404, 422):
        raise InputError(problem["detail"], field=_field(problem))
    if answer.status_code == 409:
        reasons = tuple(problem.get("reasons", ()))
        raise RefusalError(problem["detail"], code=problem.get("code", "conflict"), reasons=reasons)
    raise ServiceError(f"{answer.url} answered {answer.status_code}: {problem['detail']}")


def document(answer: httpx2.Response) -> Json:
    """Raises ServiceError: no JSON object, so something else answers at this address."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ServiceError(
            f"{answer.url} answered {answer.status_code}, not as isoflop does; is it the service?"
        )
    return found


def _field(problem: Json) -> str:
    """`budgets.1` from the pointer `#/budgets/1`, or the parameter's name."""
    for error in problem.get("errors", ()):
        pointer = str(error.get("pointer", "")).removeprefix("#/")
        return pointer.replace("/", ".") or str(error.get("parameter", ""))
    return ""


def parse_events(lines: Iterator[str]) -> Iterator[Json]:
    """Server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    event: Json = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name in ("id", "event", "data"):
            event[name] = value
        elif not line and "data" in event:
            yield event | {"id": int(event["id"]), "data": json.loads(event["data"])}
            event = {}
