"""/v1/budgets: what to train on a budget, as `isoflop budget` answers; nothing is stored."""

from dataclasses import asdict, dataclass, fields
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.answering import AUTO, context_of
from api.deps import MAX_ID, EngineDep
from api.problems import documented
from fitting.costs.assumptions import Assumptions
from fitting.costs.fitted import FittedLaw
from fitting.costs.published import published_law
from fitting.costs.question import Law, ask
from fitting.errors import InputError
from fitting.fit import Fit
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
    law, defaults = _law(asked, engine)
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


def _law(asked: BudgetIn, engine: EngineDep) -> tuple[Law, dict[str, Any]]:
    """The law, and the assumptions that its measurements suggest."""
    if asked.fit_id is None:
        return published_law(asked.law or USUAL), {}
    if asked.law is not None:
        raise InputError("give law or fit_id, not both", field="law")
    with reading(engine) as session:
        context = context_of(session, asked.fit_id)
    if context.law == AUTO:
        raise InputError(
            "a budget needs a single law; got a fit with law 'auto' (fit law='chinchilla', and "
            "ask that)",
            field="fit_id",
        )
    fitted = FittedLaw(fit=Fit.from_dict(context.result), measurements=context.measurements)
    return fitted, context.device
