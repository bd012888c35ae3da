"""/v1/launches: a forecast sealed before its final run starts, and the outcome beside it."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.deps import (
    MAX_ID,
    Cursor,
    Id,
    Limit,
    Page,
    Reading,
    SettingsDep,
    Writing,
    key_of,
    page,
)
from api.idempotency import KeyHeader, once
from api.problems import documented
from store import conclusions
from store.answers import Launch
from store.runs import get_run
from store.states import RunState
from sweeper import verbs
from sweeper.launch import as_dict, launch

router = APIRouter(prefix="/v1/launches", tags=["launches"])


class LaunchIn(BaseModel):
    """Which answer to act on. The same one again is the same launch, not a second run."""

    model_config = ConfigDict(extra="forbid", strict=True)

    recommendation_id: int = Field(ge=1, le=MAX_ID)
    n_cpus: int | None = Field(
        default=None, ge=1, le=4096, description="Cores of the run; null: all"
    )
    n_processes: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Processes that train it together on one machine; null: one for each GPU of "
        "the largest machine, one on CPUs",
    )
    max_epochs: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="How often a token may repeat"
    )


class LaunchOut(BaseModel):
    id: int
    recommendation_id: int
    run_id: int
    state: RunState
    forecast: dict[str, Any]
    forecast_sha256: str
    sealed_at: datetime
    outcome: dict[str, Any] | None
    compared_at: datetime | None
    cancelled_at: datetime | None


@router.post("", status_code=201, responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT))
def create_launch(
    asked: LaunchIn,
    response: Response,
    session: Writing,
    settings: SettingsDep,
    key: KeyHeader = None,
) -> LaunchOut:
    """Seal the forecast, then queue the run, in one transaction."""
    options = asked.model_dump(exclude={"recommendation_id"}, exclude_none=True)
    answer = once(
        session,
        response,
        scope="launches",
        key=key,
        body=asked.model_dump(mode="json"),
        work=lambda: show(session, launch(session, settings, asked.recommendation_id, **options)),
    )
    return LaunchOut.model_validate(answer)


@router.get("")
def list_launches(session: Reading, limit: Limit = 50, cursor: Cursor = None) -> Page[LaunchOut]:
    """Newest first."""
    found = conclusions.list_launches(session, before=key_of(cursor), limit=limit + 1)
    return page(found, limit, lambda made: show(session, made))


@router.get("/{launch_id}", responses=documented(HTTPStatus.NOT_FOUND))
def read_launch(launch_id: Id, session: Reading) -> LaunchOut:
    """The forecast, and the outcome as soon as there is one."""
    return show(session, conclusions.get_launch(session, launch_id))


@router.post("/{launch_id}/cancel", responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT))
def cancel_launch(launch_id: Id, session: Writing) -> LaunchOut:
    """Stop the final run; the forecast stays, without an outcome."""
    return show(session, verbs.cancel_launch(session, launch_id))


def show(session: Session, made: Launch) -> LaunchOut:
    return LaunchOut.model_validate(as_dict(made, get_run(session, made.run_id)))
