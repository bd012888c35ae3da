"""Is the process alive, and can it do its work? For supervisors and load balancers."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.deps import EngineDep
from api.problems import ProblemError, documented
from store.engine import reading
from store.errors import SchemaError
from store.leases import age_s
from store.migrate import check

router = APIRouter(tags=["health"])
MAX_HEARTBEAT_AGE_S = 15.0  # the dispatcher beats every second or two


class Alive(BaseModel):
    status: str = "alive"


class Ready(BaseModel):
    status: str = "ready"
    checks: dict[str, str]


@router.get("/healthz")
async def read_health() -> Alive:
    """The process answers."""
    return Alive()


@router.get("/readyz", responses=documented(HTTPStatus.SERVICE_UNAVAILABLE))
def read_readiness(engine: EngineDep) -> Ready:
    """Database reachable with the right schema, dispatcher at work."""
    checks = {"database": _database(engine), "dispatcher": _dispatcher(engine)}
    bad = [f"{name} {said}" for name, said in checks.items() if said != "ok"]
    if bad:
        extra: dict[str, Any] = {"checks": checks}
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE, "; ".join(bad), type_="/problems/not-ready", **extra
        )
    return Ready(checks=checks)


def _database(engine: Engine) -> str:
    try:
        check(engine)
    except SchemaError as error:
        return str(error)
    except SQLAlchemyError:
        return "does not answer"
    return "ok"


def _dispatcher(engine: Engine) -> str:
    try:
        with reading(engine) as session:
            age = age_s(session, "dispatcher")
    except SQLAlchemyError:
        return "unknown: the database does not answer"
    if age is None:
        return "is not running: start `isoflop work` (queued runs wait)"
    if age > MAX_HEARTBEAT_AGE_S:
        return f"has been silent for {age:.0f} s"
    return "ok"
