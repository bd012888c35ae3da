"""/v1/sweeps: ask a question, see what it costs, follow it, and steer it."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, WrapValidator
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.deps import Cursor, EngineDep, Id, Limit, Page, Reading, SettingsDep, Writing, key_of, page
from api.idempotency import KeyHeader, answered, once
from api.problems import documented
from api.routes.runs import RunOut
from store import runs, sweeps
from store.engine import reading, writing
from store.models import Sweep
from store.states import RunState, SweepState
from sweeper import verbs
from sweeper.extend import check_extended
from sweeper.plan import Plan
from sweeper.spec import SweepSpec, parse
from sweeper.submit import plan_for, submit

router = APIRouter(prefix="/v1/sweeps", tags=["sweeps"])
SCOPE = "sweeps"  # of Idempotency-Keys

# Through `parse`, so that REST and the command line complain in the same words.
SpecIn = Annotated[SweepSpec, WrapValidator(lambda value, _: parse(value))]
Verb = Literal["pause", "resume", "stop", "cancel", "retry"]
VERBS = {
    "pause": verbs.pause_sweep,
    "resume": verbs.resume_sweep,
    "stop": verbs.stop_sweep,
    "cancel": verbs.cancel_sweep,
    "retry": verbs.retry_sweep,
}


class ProgressOut(BaseModel):
    """How far; running runs count by their share of tokens."""

    model_config = ConfigDict(from_attributes=True)

    counts: dict[str, int]
    n_runs: int
    n_over: int
    flops: float
    flops_done: float
    n_tokens_done: int


class SweepOut(BaseModel):
    """A sweep as clients see it."""

    id: int
    name: str
    state: SweepState
    reason: str | None
    price: dict[str, Any]
    notes: list[Any]
    progress: ProgressOut
    spec: dict[str, Any]
    created_at: datetime
    ended_at: datetime | None


class PlanOut(BaseModel):
    """What a sweep would do and cost."""

    model_config = ConfigDict(extra="allow")

    n_runs: int
    n_points: int
    flops: float
    hours: float
    usd: float | None
    energy_kwh: float | None
    tco2e: float | None
    runs: list[dict[str, Any]]
    notes: list[str]


@router.post(
    "",
    status_code=201,
    responses={
        **documented(HTTPStatus.CONFLICT),
        200: {"description": "With dry_run: the plan, nothing kept", "model": PlanOut},
    },
)
def create_sweep(
    spec: SpecIn,
    response: Response,
    engine: EngineDep,
    settings: SettingsDep,
    key: KeyHeader = None,
    *,
    dry_run: Annotated[bool, Query(description="Plan and price only; leaves no row")] = False,
) -> SweepOut | PlanOut:
    """Plan a sweep and queue its runs. A point trained before is taken, not trained again."""
    body = spec.model_dump(mode="json")
    if not dry_run and (earlier := answered(engine, response, scope=SCOPE, key=key, body=body)):
        return SweepOut.model_validate(earlier)
    plan = plan_for(settings, spec)
    if dry_run:
        response.status_code = 200
        return _dry(engine, spec, plan)
    with writing(engine) as session:
        answer = once(
            session,
            response,
            scope=SCOPE,
            key=key,
            body=body,
            work=lambda: show(session, submit(session, spec, plan)),
        )
    return SweepOut.model_validate(answer)


def _dry(engine: Engine, spec: SweepSpec, plan: Plan) -> PlanOut:
    with reading(engine) as session:
        said = check_extended(session, spec, plan)
    made = plan.to_dict()
    return PlanOut.model_validate(made | {"notes": made["notes"] + said})


@router.get("")
def list_sweeps(
    session: Reading, limit: Limit = 50, cursor: Cursor = None, state: SweepState | None = None
) -> Page[SweepOut]:
    """Newest first."""
    found = sweeps.list_sweeps(session, state=state, before=key_of(cursor), limit=limit + 1)
    return page(found, limit, lambda sweep: show(session, sweep))


@router.get("/{sweep_id}", responses=documented(HTTPStatus.NOT_FOUND))
def read_sweep(sweep_id: Id, session: Reading) -> SweepOut:
    """One sweep and how far it is."""
    return show(session, sweeps.get_sweep(session, sweep_id))


@router.get("/{sweep_id}/runs", responses=documented(HTTPStatus.NOT_FOUND))
def list_runs(
    sweep_id: Id,
    session: Reading,
    limit: Limit = 100,
    cursor: Cursor = None,
    state: RunState | None = None,
) -> Page[RunOut]:
    """Its runs, in the order of the plan."""
    sweeps.get_sweep(session, sweep_id)
    found = runs.list_runs(
        session, sweep_id=sweep_id, state=state, after=key_of(cursor) or 0, limit=limit + 1
    )
    return page(found, limit, RunOut.model_validate)


@router.post("/{sweep_id}/{verb}", responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT))
def control_sweep(sweep_id: Id, verb: Verb, session: Writing) -> SweepOut:
    """pause: running runs checkpoint and wait. resume. stop: running runs finish, no new ones.
    cancel: nothing more happens. retry: what failed runs again."""
    return show(session, VERBS[verb](session, sweep_id))


def show(session: Session, sweep: Sweep) -> SweepOut:
    """The sweep with its progress, counted now."""
    columns = {name: getattr(sweep, name) for name in SweepOut.model_fields if name != "progress"}
    progress = ProgressOut.model_validate(sweeps.progress(session, sweep.id))
    return SweepOut(**columns, progress=progress)
