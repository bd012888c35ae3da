"""The loss of one planned run, off the optimum or on it."""

from typing import Any

import numpy as np

from fitting.checks import EPOCHS_FREE
from fitting.errors import InputError, Note, RefusalError
from fitting.fitted import Fit
from fitting.measurements import Measurements
from fitting.recommend import check_question, predict, repeated_data, tested
from fitting.recommendation import SUPPORTED, TOO_FAR, Estimate
from fitting.rollout import Rollout

NEAR = 1.5  # times the measured range that still counts as measured
INSIDE = {"n_params": NEAR, "n_tokens": NEAR, "flops": SUPPORTED}  # as for a budget


def predict_run(
    fitted: Fit, m: Measurements, N: float, D: float, *, unique_tokens: float | None = None
) -> dict[str, Any]:
    """Loss at N [params] and D [tokens] with a 90 % prediction interval and a verdict.

    Args:
        fitted: a law with samples.
        m: what it was fitted to.
        N, D: of the planned run.
        unique_tokens: what the corpus holds [tokens]; None: as many as needed.

    Raises:
        InputError: a number that cannot be meant.
        RefusalError: `too_far` from the measurements, or `no_loss`: the law has no finite one.
    """
    for name, value in (("params", N), ("tokens", D)):
        if not (value > 0 and value < float("inf")):
            raise InputError(f"{name} must be finite and positive; got {value}", field=name)
    flops = 6.0 * N * D
    if not 0 < flops < float("inf"):
        raise InputError(f"6 x params x tokens must be a number of FLOP that a float holds; got {N:g} and {D:g}", field="params")  # fmt: skip
    check_question(flops, 0.0, unique_tokens)
    values = {"n_params": N, "n_tokens": D, "flops": flops}
    if far := _outside(fitted, values, TOO_FAR):
        remedy = f"beyond {TOO_FAR:.0g} times the measured range no fit is supported (measure nearer runs)"  # fmt: skip
        raise RefusalError(f"{far[0]}: {remedy}", code="too_far", reasons=(*far, remedy))
    outside = _outside(fitted, values, 1.0)
    verdict = "extrapolated" if outside else "supported"
    rolled, notes = tested(fitted, m)
    loss = _loss(fitted, N, D, rolled=rolled, unique_tokens=unique_tokens)
    reasons = [Note("extrapolated", text) for text in outside]
    notes = [*reasons, *notes, *repeated_data(fitted, D, unique_tokens)]
    if unique_tokens is not None and D / unique_tokens > _most_epochs(fitted, m):
        verdict = "extrapolated"
    return {
        "n_params": N, "n_tokens": D, "flops": flops, "tokens_per_param": D / N,
        "loss": loss.to_dict(), "loss_unit": fitted.loss_unit, "law": fitted.law,
        "objective": fitted.objective, "verdict": verdict,
        "rollout": rolled.to_dict() if rolled else None, "warnings": [note.to_dict() for note in notes],
    }  # fmt: skip


def _loss(
    fitted: Fit, N: float, D: float, *, rolled: Rollout | None, unique_tokens: float | None
) -> Estimate:
    loss = predict(fitted, N, D, rolled=rolled, unique_tokens=unique_tokens)
    if not np.isfinite([loss.value, loss.low, loss.high]).all():
        raise RefusalError(
            f"the {fitted.law} law gives no finite interval of the loss at {N:.3g} parameters and "
            f"{D:.3g} tokens: {loss.low:.3g} to {loss.high:.3g} around {loss.value:.3g} (take a law "
            "with fewer coefficients, or add runs nearby)", code="no_loss",
        )  # fmt: skip
    return loss


def _outside(fitted: Fit, values: dict[str, float], times: float) -> list[str]:
    """What lies outside the measured range by more than a factor `times`, or than counts as inside."""
    return [
        f"{name} {value:.3g} lies outside the measured {low:.3g} to {high:.3g}"
        for name, value in values.items()
        for low, high in [fitted.ranges[name]]
        for factor in [max(times, INSIDE[name])]
        if not low / factor <= value <= high * factor
    ]


def _most_epochs(fitted: Fit, m: Measurements) -> float:
    """Epochs up to which the law speaks from experience, or repetition costs next to nothing."""
    if fitted.law != "muennighoff" or m.unique_tokens is None:
        return EPOCHS_FREE
    return max(EPOCHS_FREE, NEAR * float((m.n_tokens / m.unique_tokens).max()))
