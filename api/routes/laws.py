"""/v1/predictions, /v1/comparisons, /v1/designs: what `isoflop predict`, `compare` and `design` print.

Nothing is stored: the same question gives the same answer.
"""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.analyses import analysis_of
from api.answering import AUTO, Context, context_of
from api.deps import MAX_ID, EngineDep
from api.measured import as_measurements, rows_of
from api.problems import documented
from fitting.advice import advise
from fitting.compare import compare
from fitting.errors import RefusalError
from fitting.fitted import Fit
from fitting.measurements import Measurements
from fitting.predict import predict_run
from store.engine import reading

router = APIRouter(prefix="/v1", tags=["laws"])
UNANSWERED = documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
OptionalId = Annotated[int | None, Field(ge=1, le=MAX_ID)]
Count = Annotated[float, Field(ge=1, le=1e18)]
Flops = Annotated[float, Field(ge=1, le=1e36)]
Answer = dict[str, Any]


class PredictIn(BaseModel):
    """A fit and one run: N parameters on D tokens, U of them unique."""

    model_config = ConfigDict(extra="forbid", strict=True)

    fit_id: int = Field(ge=1, le=MAX_ID)
    n_params: Count
    n_tokens: Count
    unique_tokens: Count | None = None


class SourceIn(BaseModel):
    """A sweep or a study."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sweep_id: OptionalId = None
    study_id: OptionalId = None

    def measurements(self, session: Session) -> Measurements:
        """Raises InputError for both or neither, NotFoundError, and RefusalError without points."""
        rows = rows_of(session, sweep_id=self.sweep_id, study_id=self.study_id)
        name = f"sweep {self.sweep_id}" if self.sweep_id else f"study {self.study_id}"
        return as_measurements(rows, source=name)


class CompareIn(BaseModel):
    """Recipe b against recipe a, at `flops` or at the most compute that both have."""

    model_config = ConfigDict(extra="forbid", strict=True)

    a: SourceIn
    b: SourceIn
    law: str = Field(default="chinchilla", max_length=50)
    flops: Flops | None = None
    n_bootstrap: int = Field(default=1000, ge=0, le=20_000)
    seed: int = Field(default=0, ge=0, le=2**32 - 2)


class DesignIn(SourceIn):
    """The budget to be asked about; without a sweep or study, a published law is assumed."""

    target: Flops
    total: Flops | None = None
    scatter: Annotated[float, Field(ge=1e-6, le=1)] | None = None


@router.post("/predictions", responses=UNANSWERED)
def create_prediction(asked: PredictIn, engine: EngineDep) -> Answer:
    """The loss of one run with its 90 % prediction interval. 409: too far from the measurements."""
    with reading(engine) as session:
        context = context_of(session, asked.fit_id)
    return predict_run(
        _law_of(context),
        context.measurements,
        asked.n_params,
        asked.n_tokens,
        unique_tokens=asked.unique_tokens,
    )


@router.post("/comparisons", responses=UNANSWERED)
def create_comparison(asked: CompareIn, engine: EngineDep) -> Answer:
    """Slopes, offsets, where two recipes cross, and the compute that one saves."""
    with reading(engine) as session:
        a, b = asked.a.measurements(session), asked.b.measurements(session)
    return compare(
        a, b, law=asked.law, flops=asked.flops, n_bootstrap=asked.n_bootstrap, seed=asked.seed
    ).to_dict()


@router.post("/designs", responses=UNANSWERED)
def create_design(asked: DesignIn, engine: EngineDep) -> Answer:
    """What the runs so far tell about a target, the cheapest next runs, and the best split."""
    m = None
    if asked.sweep_id is not None or asked.study_id is not None:
        with reading(engine) as session:
            m = asked.measurements(session)
    return advise(m, target=asked.target, total=asked.total, scatter=asked.scatter)


def _law_of(context: Context) -> Fit:
    """The fit itself, or the most trusted law of an analysis.

    Raises:
        RefusalError: an analysis without a law, which knows no losses off the optimum.
    """
    if context.law != AUTO:
        return Fit.from_dict(context.result)
    found = analysis_of(context.result)
    for name in sorted(found.weights, key=lambda k: -found.weights[k]):
        if (law := found.approaches[name].fit) is not None:
            return law
    raise RefusalError(
        f"{found.trusted} is trusted, which knows the optimum alone and not the loss of other runs "
        "(fit law='chinchilla', and ask that)",
        code="no_surface",
    )
