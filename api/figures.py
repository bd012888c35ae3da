"""Which figures there are, and how each is drawn from what the database holds.

`prepare` reads rows; the thunk it returns computes and draws, with no transaction open.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.analyses import analysis_of
from api.answering import law_of
from api.measured import used_by
from fitting.costs.budget import kept
from fitting.costs.fitted import FittedLaw
from fitting.costs.tables import load_tables
from fitting.errors import InputError
from fitting.fitted import Fit
from fitting.isoflop import isoflop as find_minima
from fitting.measurements import Measurements
from reports import (
    allocation,
    contours,
    cost_loss,
    frontier,
    isoflop,
    learning_rates,
    residuals,
    rollout,
    training,
)
from reports.render import figure_of
from store import conclusions, curves, measurements, runs
from store.answers import FitRow, Launch, RecommendationRow
from trainer.recipe import BASE_LR, BASE_WIDTH

CAPTIONS = {
    "isoflop": "Loss against size at each budget, with the minima of the parabolas.",
    "frontier": "Loss against compute: every measurement, the frontier of every approach, the "
    "forecast and the final run.",
    "allocation": "Optimal size and tokens against compute, by every approach, and the final run.",
    "rollout": "Errors of every approach on budgets it had not seen.",
    "contours": "The fitted surface: loss over size and tokens, with the measurements.",
    "residuals": "Residuals against size, tokens and compute.",
    "training": "Loss along the run.",
    "cost-loss": "What a lower loss costs, with the thresholds of the laws on AI; by a fit, or by a "
    "published law.",
    "learning-rates": "Peak learning rates of GPT-3 and LLaMA beside our transfer rule.",
}
WIDE = ("allocation", "residuals")
OF_ANALYSIS = ("isoflop", "frontier", "allocation", "rollout")
OF_LAW = ("isoflop", "contours", "residuals")
AUTO = "auto"
PUBLISHED_SPAN = (1e19, 1e27)  # of a published law's optima [FLOP]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """A figure and the numbers it was drawn from."""

    numbers: Any
    figure: Figure


Thunk = Callable[[], Drawn]


@dataclass(frozen=True, kw_only=True, slots=True)
class Final:
    """What was asked of a law and what came of it, where it was launched."""

    flops: float | None = None
    size: tuple[float, float] | None = None  # C, N
    outcome: tuple[float, float] | None = None  # C, L


def kinds_of(law: str) -> tuple[str, ...]:
    """The figures of a fit."""
    return OF_ANALYSIS if law == AUTO else OF_LAW


def prepare(
    session: Session,
    kind: str,
    *,
    run_id: int | None = None,
    fit_id: int | None = None,
    device: str = "",
) -> Thunk:
    """Raises NotFoundError or InputError: no such figure, run or fit. The thunk may refuse."""
    if kind not in CAPTIONS:
        raise InputError(f"kind must be one of {', '.join(CAPTIONS)}; got {kind!r}", field="kind")
    if kind == "training":
        return _training(session, _need("run_id", run_id, kind))
    if kind == "learning-rates":
        return _learning_rates
    if kind == "cost-loss":
        return _cost_loss(session, fit_id, device)
    row = conclusions.get_fit(session, _need("fit_id", fit_id, kind))
    if kind not in kinds_of(row.law):
        raise InputError(
            f"a fit with law {row.law!r} has the figures {', '.join(kinds_of(row.law))}; "
            f"got {kind!r}",
            field="kind",
        )
    m = used_by(session, row)
    if kind == "isoflop":
        return lambda: _drawn(isoflop, isoflop.curves(m, find_minima(m)), unit=m.loss_unit)
    if row.law == AUTO:
        return _of_analysis(kind, row.result, _final(session, row))
    return _of_law(kind, row.result, m)


def _of_analysis(kind: str, result: dict[str, Any], final: Final) -> Thunk:
    def draw() -> Drawn:
        found = analysis_of(result)
        if kind == "rollout":
            return _drawn(rollout, rollout.curves(found))
        if kind == "allocation":
            return _drawn(
                allocation, allocation.curves(found, target=final.flops, final=final.size)
            )
        numbers = frontier.curves(found, target=final.flops, outcome=final.outcome)
        return _drawn(frontier, numbers, unit=found.measurements.loss_unit)

    return draw


def _of_law(kind: str, result: dict[str, Any], m: Measurements) -> Thunk:
    def draw() -> Drawn:
        fitted = Fit.from_dict(result)
        if kind == "residuals":
            return _drawn(residuals, residuals.curves(fitted, m))
        return _drawn(contours, contours.curves(fitted, m), unit=m.loss_unit)

    return draw


def _training(session: Session, run_id: int) -> Thunk:
    run = runs.get_run(session, run_id)
    points = [
        {"branch": p.branch, "n_tokens": p.n_tokens, "loss": p.loss}
        for p in curves.of_run(session, run.id)
    ]
    measured = [
        {"n_tokens": m.n_tokens, "loss": m.loss} for m in measurements.of_run(session, run.id)
    ]
    return lambda: _drawn(training, training.curves(points, measured))


def _cost_loss(session: Session, fit_id: int | None, device: str) -> Thunk:
    """A fit's law from its smallest budget on, priced as its sweep was; else a published one."""
    law, priced = law_of(session, fit_id)
    named = {"device": device} if device else {}
    m = law.measurements if isinstance(law, FittedLaw) else None
    span = PUBLISHED_SPAN if m is None else (float(m.flops.min()), 1e3 * float(m.flops.max()))

    def draw() -> Drawn:
        assumptions = kept(priced, named, load_tables()) | named
        return _drawn(cost_loss, cost_loss.curves(law, flops=span, **assumptions))

    return draw


def _learning_rates() -> Drawn:
    return _drawn(learning_rates, learning_rates.curves(base_lr=BASE_LR, base_width=BASE_WIDTH))


def _final(session: Session, row: FitRow) -> Final:
    """Of the newest launch that rests on the same sweep, else of the newest question."""
    made = session.scalars(
        select(Launch)
        .join(RecommendationRow, RecommendationRow.id == Launch.recommendation_id)
        .join(FitRow, FitRow.id == RecommendationRow.fit_id)
        .where(FitRow.sweep_id == row.sweep_id if row.sweep_id else FitRow.id == row.id)
        .order_by(Launch.id.desc())
        .limit(1)
    ).one_or_none()
    if made is None:
        asked = conclusions.list_recommendations(session, fit_id=row.id, limit=1)
        return Final(flops=asked[0].flops if asked else None)
    bet = json.loads(made.forecast_json)
    came = json.loads(made.outcome_json) if made.outcome_json else {}
    C = 6.0 * bet["n_params"] * bet["n_tokens"]
    return Final(
        flops=C,
        size=(C, bet["n_params"]),
        outcome=(came["flops"], came["loss"]) if "loss" in came else None,
    )


def _drawn(module: Any, numbers: Any, **options: Any) -> Drawn:
    axes: Axes | tuple[Axes, ...] = module.plot(numbers, **options)
    return Drawn(numbers=numbers, figure=figure_of(axes[0] if isinstance(axes, tuple) else axes))


def _need(name: str, value: int | None, kind: str) -> int:
    if value is None:
        raise InputError(f"the figure {kind!r} needs {name}; got none", field=name)
    return value
