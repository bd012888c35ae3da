"""From a stored fit to an answer: budget to FLOP, law to N* and D*, both to a price and a shape.

What is read from the database is gathered first, so that no transaction waits for arithmetic.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from api.analyses import analysis_of
from api.measured import used_by
from fitting.costs.architecture import Architecture
from fitting.costs.budget import parse_budget
from fitting.costs.fitted import FittedLaw
from fitting.costs.flops import train_flops
from fitting.costs.published import published_law
from fitting.costs.question import Law
from fitting.costs.speed import band_of
from fitting.errors import InputError, RefusalError
from fitting.fit import Fit
from fitting.measurements import Measurements
from fitting.recommend import recommend
from fitting.recommendation import Recommendation
from store import conclusions
from store.models import Sweep
from store.runs import list_runs, speeds
from store.sweeps import get_sweep
from sweeper.plan import priced_as
from sweeper.spec import SweepSpec
from trainer.ladder import architecture_for

AUTO = "auto"
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked of a fit. `assumptions`: those of `fitting.costs.assumptions` stated."""

    budget: str
    inference_tokens: float = 0.0
    unique_tokens: float | None = None
    assumptions: Json = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """All that the database knows about a fit."""

    law: str
    result: Json
    measurements: Measurements
    model: Json | None  # architecture of one of the sweep's runs
    device: Json  # assumptions that the sweep itself suggests


def answer(context: Context, question: Question) -> Json:
    """The JSON of a recommendation, with `cost` and `architecture`.

    Raises:
        InputError: a budget or an assumption that cannot be meant.
        RefusalError: the measurements cannot answer.
    """
    flops = parse_budget(question.budget).to_flops(defaults=context.device, **question.assumptions)
    found = _recommend(context, question, flops.flops.value)
    if found.verdict == "refused":
        reasons = tuple(note.message for note in found.warnings)
        raise RefusalError(reasons[0], code=found.warnings[0].code, reasons=reasons)
    shape = architecture_of(context, found.n_params)
    cost = flops.estimate(n_params=found.n_params, n_tokens=found.n_tokens)
    return found.to_dict() | {
        "budget": flops.to_dict(),
        "cost": cost.to_dict(),
        "architecture": shape and asdict(shape) | {"n_params": shape.n_params},
    }


def architecture_of(context: Context, n_params: float) -> Architecture | None:
    """The ladder's shape in the sweep's family; None for a study, whose models are not ours."""
    if context.model is None:
        return None
    like = context.model
    return architecture_for(
        n_params, vocab_size=like["vocab_size"], context=like["context"], family=like["family"]
    )


def context_of(session: Session, fit_id: int) -> Context:
    """Raises NotFoundError: no fit has this id."""
    row = conclusions.get_fit(session, fit_id)
    sweep = get_sweep(session, row.sweep_id) if row.sweep_id else None
    runs = list_runs(session, sweep_id=sweep.id, limit=1) if sweep else []
    return Context(
        law=row.law,
        result=row.result,
        measurements=used_by(session, row),
        model=runs[0].spec["model"] if runs else None,
        device=_device(session, sweep) if sweep else {},
    )


def law_of(
    session: Session, fit_id: int | None, *, published: str = "chinchilla-epoch"
) -> tuple[Law, Json]:
    """A stored fit's law, with the assumptions that its sweep suggests; without one a published law.

    Raises:
        InputError: the fit averages several laws, or no published law has this name.
    """
    if fit_id is None:
        return published_law(published), {}
    context = context_of(session, fit_id)
    if context.law == AUTO:
        raise InputError(
            "a price along the law needs a single law; got a fit with law 'auto' (fit "
            "law='chinchilla', and ask that)",
            field="fit_id",
        )
    fitted = FittedLaw(fit=Fit.from_dict(context.result), measurements=context.measurements)
    return fitted, context.device


def _recommend(context: Context, question: Question, flops: float) -> Recommendation:
    if context.law != AUTO:
        return recommend(
            Fit.from_dict(context.result),
            context.measurements,
            flops=flops,
            inference_tokens=question.inference_tokens,
            unique_tokens=question.unique_tokens,
        )
    return analysis_of(context.result).recommend(
        flops,
        inference_tokens=question.inference_tokens,
        unique_tokens=question.unique_tokens,
    )


def _device(session: Session, sweep: Sweep) -> Json:
    """Priced as the sweep was, at the speed of its largest run: speed per FLOP grows with size, and
    a final run is larger still. Start-up and compilation, long for a run of seconds, are left out.
    Low and high come from all its runs, see `fitting.costs.speed.band_of`.
    """
    priced = {"device": priced_as(SweepSpec.model_validate(sweep.spec))}
    # 6ND FLOP/s of one of its devices
    done = [(n, train_flops(n, tok_s) / devices) for n, tok_s, devices in speeds(session, sweep.id)]
    if not done:
        return priced
    _, flop_s = done[0]
    return priced | {"measured_flop_s": flop_s, "measured_flop_s_band": band_of(flop_s, done)}
