"""/v1/runs: one training job, its attempts, its measurements and its curve."""

import json
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.deps import Id, Reading
from api.problems import documented
from fitting.costs.estimate import estimate
from store import conclusions, curves, measurements, runs
from store.models import Run
from store.states import AttemptState, RunKind, RunState
from sweeper.plan import priced_as
from sweeper.spec import SweepSpec

router = APIRouter(prefix="/v1/runs", tags=["runs"])


class RunOut(BaseModel):
    """A run as clients see it. Not the table: columns may change under it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    kind: RunKind
    state: RunState
    reason: str | None
    n_params: int = Field(description="N of the law: what multiplies each token")
    n_params_total: int
    n_params_non_embedding: int
    n_tokens: int
    n_tokens_done: int
    flops: float = Field(description="Of the whole job, branches included")
    last_loss: float | None = Field(
        description="Mean training loss of the newest steps, nats/token"
    )
    tok_s: float | None
    n_failures: int
    n_preemptions: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class AttemptOut(BaseModel):
    """One execution of a run."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    state: AttemptState
    reason: str | None
    worker: str
    device: str | None
    train_seconds: float | None
    energy_kwh: float | None = Field(description="Measured; null where no meter could be read")
    energy_source: str | None = Field(description="The meter and what it counts, for all users")
    started_at: datetime
    ended_at: datetime | None


class EnergyOut(BaseModel):
    """Measured beside estimated [kWh]: a meter sees less than the wall, `source` says what."""

    measured_kwh: float | None = Field(description="All attempts; null if one was not metered")
    source: str | None
    estimated_kwh: dict[str, float] | None = Field(
        description="Value, low and high from the price tables, server and building included; "
        "null before training has ended, or where the device's power is unknown"
    )


class RunDetail(RunOut):
    """With what it trains, how it went and what it measured."""

    spec: dict[str, Any]
    spec_hash: str
    code_hash: str
    corpus: str
    sweep_ids: list[int]
    energy: EnergyOut
    attempts: list[AttemptOut]
    measurements: list[dict[str, Any]]


class PointOut(BaseModel):
    """Training progress at one step."""

    model_config = ConfigDict(from_attributes=True)

    branch: int = Field(description="0: the trunk; else the horizon this cooldown leads to")
    step: int
    n_tokens: int
    loss: float | None
    lr: float | None
    grad_norm: float | None
    tok_s: float | None
    seconds: float | None


class CurveOut(BaseModel):
    run_id: int
    points: list[PointOut]


@router.get("/{run_id}", responses=documented(HTTPStatus.NOT_FOUND))
def read_run(run_id: Id, session: Reading) -> RunDetail:
    """One run."""
    return detail(session, runs.get_run(session, run_id))


@router.get("/{run_id}/curve", responses=documented(HTTPStatus.NOT_FOUND))
def read_curve(run_id: Id, session: Reading) -> CurveOut:
    """Loss and rates along the run, thinned to a few hundred points a branch."""
    runs.get_run(session, run_id)
    points = [PointOut.model_validate(p) for p in curves.of_run(session, run_id)]
    return CurveOut(run_id=run_id, points=points)


def detail(session: Session, run: Run) -> RunDetail:
    """The run and all that hangs on it."""
    return RunDetail.model_validate(
        RunOut.model_validate(run).model_dump()
        | {
            "spec": run.spec,
            "spec_hash": run.spec_hash,
            "code_hash": run.code_hash,
            "corpus": run.corpus,
            "sweep_ids": [s.id for s in runs.sweeps_of_run(session, run.id)],
            "energy": energy_of(session, run),
            "attempts": list(runs.attempts_of_run(session, run.id)),
            "measurements": [measurements.as_row(m) for m in measurements.of_run(session, run.id)],
        }
    )


def energy_of(session: Session, run: Run) -> EnergyOut:
    """What the meters said, and what the tables say of the hours it took."""
    kwh, source = runs.measured_energy(session, run.id) or (None, None)
    attempt = runs.latest_attempt(session, run.id)
    device = _priced_as(session, run)
    if attempt is None or not attempt.train_seconds or device is None:
        return EnergyOut(measured_kwh=kwh, source=source, estimated_kwh=None)
    hours = attempt.train_seconds * (attempt.n_devices or 1) / 3600
    figure = estimate(flops=run.flops, device_hours=hours, device=device).get("energy_kwh")
    band = figure and {"value": figure.value, "low": figure.low, "high": figure.high}
    return EnergyOut(measured_kwh=kwh, source=source, estimated_kwh=band or None)


def _priced_as(session: Session, run: Run) -> str | None:
    """As its sweep or its forecast was; None where neither is there."""
    asked = runs.sweeps_of_run(session, run.id)
    if asked:
        return priced_as(SweepSpec.model_validate(asked[0].spec))
    launch = conclusions.launch_of_run(session, run.id)
    return json.loads(launch.forecast_json)["cost_device"] if launch else None
