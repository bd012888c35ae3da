"""Errors as RFC 9457 problem details: one shape for every 4xx and 5xx, decided in one place."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import OperationalError, ProgrammingError
from starlette.exceptions import HTTPException

from fitting.errors import InputError, RefusalError
from store.errors import (
    ConflictError,
    KeyInFlightError,
    KeyReusedError,
    NotFoundError,
    SchemaError,
    StoreError,
    is_of_schema,
)

LOG = structlog.get_logger(__name__)


STORE: dict[type[StoreError], tuple[HTTPStatus, str]] = {
    NotFoundError: (HTTPStatus.NOT_FOUND, "/problems/not-found"),
    ConflictError: (HTTPStatus.CONFLICT, "/problems/conflict"),
    KeyReusedError: (HTTPStatus.UNPROCESSABLE_ENTITY, "/problems/key-reused"),
    KeyInFlightError: (HTTPStatus.CONFLICT, "/problems/key-in-flight"),
    SchemaError: (HTTPStatus.SERVICE_UNAVAILABLE, "/problems/schema"),
}


class Problem(BaseModel):
    """https://www.rfc-editor.org/rfc/rfc9457, plus `errors` for bad input, `code` and `reasons`
    for a refusal."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class ProblemError(Exception):
    """An answer that is not a success. `type_` is stable, `extra` are further members."""

    def __init__(self, status: HTTPStatus, detail: str, *, type_: str, **extra: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.type_, self.extra = status, detail, type_, extra


def respond(
    status: int, detail: str, *, type_: str = "about:blank", headers: Any = None, **extra: Any
) -> JSONResponse:
    """The answer itself; `extra` become members beside the standard ones."""
    problem = Problem(
        type=type_, title=HTTPStatus(status).phrase, status=status, detail=detail, **extra
    )
    return JSONResponse(
        problem.model_dump(), status, headers=headers, media_type="application/problem+json"
    )


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route, so that OpenAPI shows what a client must handle."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        s.value: {"description": s.phrase, "content": {"application/problem+json": schema}}
        for s in statuses
    }


def pointer(field: str) -> str:
    """`budgets.1` and `loss[3]` as JSON pointers, `#/budgets/1` and `#/loss/3`."""
    parts = [part for part in re.split(r"[.\[\]]+", field) if part]
    return "#/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in parts)


def of_input(error: InputError) -> JSONResponse:
    """422: what cannot be meant, which field, and the remedy that the message names."""
    errors = [{"pointer": pointer(error.field), "detail": str(error)}] if error.field else []
    return respond(422, str(error), type_="/problems/bad-input", errors=errors)


def of_refusal(error: RefusalError) -> JSONResponse:
    """409: well formed, and the data cannot answer it."""
    return respond(
        409, str(error), type_="/problems/refused", code=error.code, reasons=list(error.reasons)
    )


def install(app: FastAPI, *, page: Callable[[JSONResponse], Response] | None = None) -> None:
    """Register the table below; everything that is not in it is a 500 without details.

    `page` turns a problem into HTML for those who came with a browser.
    """
    table: dict[Any, Any] = {
        InputError: lambda _, e: of_input(e),
        RefusalError: lambda _, e: of_refusal(e),
        ProblemError: lambda _, e: respond(e.status, e.detail, type_=e.type_, **e.extra),
        HTTPException: lambda _, e: respond(e.status_code, _http_detail(e), headers=e.headers),
        RequestValidationError: lambda _, e: _of_validation(e),
        StoreError: lambda _, e: _of_store(e),
        OperationalError: _of_database,
        ProgrammingError: _of_database,  # PostgreSQL's word for an absent table
        Exception: _of_bug,
    }
    for kind, handler in table.items():
        app.add_exception_handler(kind, _for_whom(handler, page))


def _for_whom(handler: Any, page: Callable[[JSONResponse], Response] | None) -> Any:
    def handle(request: Request, error: Exception) -> Response:
        problem: JSONResponse = handler(request, error)
        asks = "text/html" in request.headers.get("accept", "")
        if page is None or not asks or request.url.path.startswith("/v1/"):
            return problem
        return page(problem)

    return handle


def _http_detail(error: HTTPException) -> str:
    if error.status_code == HTTPStatus.NOT_FOUND and error.detail == "Not Found":
        return "nothing lives at this address; /openapi.json lists what does"
    return str(error.detail)


def _of_validation(error: RequestValidationError) -> JSONResponse:
    ours = error.errors()[0].get("ctx", {}).get("error")
    if isinstance(ours, InputError):  # raised while a body was parsed
        return of_input(ours)
    errors = [_invalid(e["loc"], e["msg"]) for e in error.errors()]
    where = [e.get("pointer") or e["parameter"] for e in errors]
    detail = "; ".join(f"{w}: {e['detail']}" for w, e in zip(where, errors, strict=True))
    return respond(422, detail, type_="/problems/bad-input", errors=errors)


def _invalid(loc: tuple[int | str, ...], message: str) -> dict[str, str]:
    """A body field by JSON pointer, anything else by the parameter's name (RFC 9457, 3)."""
    if loc[0] == "body":
        rest = [] if len(loc) == 2 and isinstance(loc[1], int) else loc[1:]  # broken JSON
        return {"pointer": "#/" + "/".join(map(str, rest)), "detail": message}
    return {"parameter": ".".join(map(str, loc[1:])), "detail": message}


def _of_store(error: StoreError) -> JSONResponse:
    status, type_ = STORE[type(error)]
    code = {"code": "conflict"} if status == HTTPStatus.CONFLICT else {}
    return respond(status, str(error), type_=type_, **code, **vars(error))


def _of_database(request: Request, error: Exception) -> JSONResponse:
    if is_of_schema(error):
        return _of_store(
            SchemaError("the database has not the schema of this program; run `isoflop migrate`")
        )
    if isinstance(error, ProgrammingError):
        raise error  # our mistake: a 500, which the server logs
    LOG.error("database unavailable", path=request.url.path, error=str(error))
    return respond(
        503,
        "the database does not answer; runs go on and nothing is lost, try again",
        type_="/problems/database",
        headers={"Retry-After": "5"},
    )


def _of_bug(_: Request, error: Exception) -> JSONResponse:  # noqa: ARG001  the server logs it
    return respond(500, "an unexpected error; the log of the service has the details")
