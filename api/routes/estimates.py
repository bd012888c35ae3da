"""/v1/estimates: what a training run costs, with the formula behind each figure."""

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fitting.costs.architecture import Architecture
from fitting.costs.assumptions import Assumptions
from fitting.costs.budget import parse_budget
from fitting.costs.estimate import Estimate, estimate
from fitting.errors import InputError

router = APIRouter(prefix="/v1/estimates", tags=["estimates"])


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimateIn(Assumptions):
    """How much compute, in one of five ways, and the assumptions of `isoflop estimate`.

    `budget` is a text in any unit, such as `26M gpu-h` or `30 days on 10,000 h100`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    flops: float | None = None
    n_params: float | None = None
    n_tokens: float | None = None
    device_hours: float | None = None
    architecture: Architecture | None = None
    budget: Annotated[str, Field(min_length=1, max_length=200)] | None = None


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
    return EstimateOut.model_validate(_priced(asked).to_dict())


def _priced(asked: EstimateIn) -> Estimate:
    said = asdict(asked)
    assumptions = {f.name: said[f.name] for f in fields(Assumptions)}
    work: dict[str, Any] = {n: said[n] for n in ("flops", "n_params", "n_tokens", "device_hours")}
    if asked.budget is None:
        return estimate(**work, architecture=asked.architecture, **assumptions)
    if asked.architecture is not None or any(v is not None for v in work.values()):
        raise InputError("give a budget, or what to train; not both", field="budget")
    return parse_budget(asked.budget).to_flops(**assumptions).estimate()
