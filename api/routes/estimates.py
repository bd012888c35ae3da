"""/v1/estimates: what a training run costs, with the formula behind each figure."""

from dataclasses import asdict, dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from fitting.costs.architecture import Architecture
from fitting.costs.assumptions import Assumptions
from fitting.costs.estimate import estimate

router = APIRouter(prefix="/v1/estimates", tags=["estimates"])


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimateIn(Assumptions):
    """How much compute, in one of four ways, and the assumptions of `isoflop estimate`."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    flops: float | None = None
    n_params: float | None = None
    n_tokens: float | None = None
    device_hours: float | None = None
    architecture: Architecture | None = None


class EstimateOut(BaseModel):
    """Each figure has value, low, high, unit, formula and sources."""

    model_config = ConfigDict(extra="allow")

    flops: dict[str, Any]
    device_hours: dict[str, Any]
    days: dict[str, Any]
    usd: dict[str, Any] | None
    energy_kwh: dict[str, Any] | None
    tco2e: dict[str, Any] | None


@router.post("")
def create_estimate(asked: EstimateIn) -> EstimateOut:
    """Nothing is stored: the same question gives the same answer."""
    said = asdict(asked) | {"architecture": asked.architecture}
    return EstimateOut.model_validate(estimate(**said).to_dict())
