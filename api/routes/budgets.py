"""/v1/budgets: what to train on a budget, as `isoflop budget` answers; nothing is stored."""

from dataclasses import asdict, dataclass, fields
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.answering import law_of
from api.deps import MAX_ID, EngineDep
from api.problems import documented
from fitting.costs.assumptions import Assumptions
from fitting.costs.question import ask
from fitting.errors import InputError
from store.engine import reading

router = APIRouter(prefix="/v1/budgets", tags=["budgets"])
USUAL = "chinchilla-epoch"


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetIn(Assumptions):
    """A budget such as `10,000 H100 for 30 days`, and a law: published, or one of our fits.

    A fit to a sweep prices by that sweep's own machine and speed, unless another is stated.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    budget: Annotated[str, Field(min_length=1, max_length=200)]
    law: Annotated[str, Field(max_length=100)] | None = None
    fit_id: Annotated[int, Field(ge=1, le=MAX_ID)] | None = None
    sweep_share: float | Literal["computed"] | None = None
    inference_tokens: float = 0.0
    unique_tokens: float | None = None


class BudgetOut(BaseModel):
    """The JSON of `isoflop budget`: a sweep, what to train by each variant, and both prices."""

    model_config = ConfigDict(extra="allow")

    budget: dict[str, Any]
    law: str
    sweep: dict[str, Any]
    choices: dict[str, dict[str, Any]]
    over_the_budgets_band: dict[str, list[float]]
    final_run: dict[str, Any]
    whole_budget: dict[str, Any]


@router.post("", responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT))
def create_budget(asked: BudgetIn, engine: EngineDep) -> BudgetOut:
    """Sweep share, sizes to try, N*, D*, loss, dollars, CO2 and thresholds. 409: out of reach."""
    if asked.fit_id is not None and asked.law is not None:
        raise InputError("give law or fit_id, not both", field="law")
    with reading(engine) as session:
        law, defaults = law_of(session, asked.fit_id, published=asked.law or USUAL)
    said = asdict(asked)
    found = ask(
        asked.budget,
        law,
        sweep_share=asked.sweep_share,
        inference_tokens=asked.inference_tokens,
        unique_tokens=asked.unique_tokens,
        defaults=defaults,
        **{f.name: said[f.name] for f in fields(Assumptions) if said[f.name] != f.default},
    )
    return BudgetOut.model_validate(found.to_dict())
