"""/v1/recommendations: an answer for a budget in any unit, with its price and its shape."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_jsonable_python

from api.answering import Question, answer, context_of
from api.deps import MAX_ID, Cursor, EngineDep, Id, Limit, Page, Reading, key_of, page
from api.problems import documented
from fitting.costs.assumptions import Assumptions
from store import conclusions
from store.answers import RecommendationRow
from store.engine import reading, writing

router = APIRouter(prefix="/v1/recommendations", tags=["recommendations"])


@dataclass(frozen=True, kw_only=True, slots=True)
class RecommendIn(Assumptions):
    """A fit, a budget such as `3e13FLOP` or `5000usd`, and how it is to be spent and priced."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    fit_id: Annotated[int, Field(ge=1, le=MAX_ID)]
    budget: Annotated[str, Field(min_length=1, max_length=200)]
    inference_tokens: float = 0.0
    unique_tokens: float | None = None

    def question(self) -> Question:
        own = {f.name for f in fields(RecommendIn)} - {f.name for f in fields(Assumptions)}
        stated = {k: v for k, v in asdict(self).items() if k not in own}
        return Question(
            budget=self.budget,
            inference_tokens=self.inference_tokens,
            unique_tokens=self.unique_tokens,
            assumptions={k: v for k, v in stated.items() if v != _DEFAULTS[k]},
        )


_DEFAULTS = asdict(Assumptions())


class RecommendationOut(BaseModel):
    """The command line's JSON, with the fit it came from."""

    model_config = ConfigDict(extra="allow")

    id: int
    fit_id: int
    flops: float
    n_params: float
    n_tokens: float
    tokens_per_param: float
    loss: dict[str, float]
    intervals: dict[str, list[float]]
    flat_band: dict[str, list[float] | None]  # null: only the optimum is known
    verdict: str
    warnings: list[dict[str, str]]
    cost: dict[str, Any]
    architecture: dict[str, Any] | None
    created_at: datetime


@router.post("", status_code=201, responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT))
def create_recommendation(asked: RecommendIn, engine: EngineDep) -> RecommendationOut:
    """409 with its reasons where the measurements cannot answer; nothing is kept then."""
    with reading(engine) as session:
        context = context_of(session, asked.fit_id)
    question = asked.question()
    result = answer(context, question)
    with writing(engine) as session:
        return show(
            conclusions.add_recommendation(
                session,
                fit_id=asked.fit_id,
                flops=result["flops"],
                options=to_jsonable_python(asdict(question)),  # `today` is a date
                result=result,
            )
        )


@router.get("")
def list_recommendations(
    session: Reading,
    limit: Limit = 50,
    cursor: Cursor = None,
    fit_id: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> Page[RecommendationOut]:
    """Newest first."""
    found = conclusions.list_recommendations(
        session, fit_id=fit_id, before=key_of(cursor), limit=limit + 1
    )
    return page(found, limit, show)


@router.get("/{recommendation_id}", responses=documented(HTTPStatus.NOT_FOUND))
def read_recommendation(recommendation_id: Id, session: Reading) -> RecommendationOut:
    """One recommendation."""
    return show(conclusions.get_recommendation(session, recommendation_id))


def show(row: RecommendationRow) -> RecommendationOut:
    about = {"id": row.id, "fit_id": row.fit_id, "created_at": row.created_at}
    return RecommendationOut.model_validate(row.result | about)
