"""The loss of one planned run, off the optimum or on it."""

from typing import Any

from fitting.errors import InputError, RefusalError
from fitting.fitted import Fit
from fitting.measurements import Measurements
from fitting.recommend import law_rollout, predict
from fitting.recommendation import TOO_FAR

INSIDE = 1.5  # times the measured range that still counts as measured


def predict_run(
    fitted: Fit, m: Measurements, N: float, D: float, *, unique_tokens: float | None = None
) -> dict[str, Any]:
    """Loss at N [params] and D [tokens] with a 90 % prediction interval and a verdict.

    Raises:
        InputError: N or D is not positive.
    """
    for name, value in (("params", N), ("tokens", D)):
        if not (value > 0 and value < float("inf")):
            raise InputError(f"{name} must be finite and positive; got {value}", field=name)
    try:
        rolled = law_rollout(fitted, m)
    except RefusalError:
        rolled = None
    loss = predict(fitted, N, D, rolled=rolled, unique_tokens=unique_tokens)
    verdict, reasons = _verdict(fitted, N, D)
    return {
        "n_params": N, "n_tokens": D, "flops": 6 * N * D, "tokens_per_param": D / N,
        "loss": loss.to_dict(), "loss_unit": fitted.loss_unit, "law": fitted.law,
        "objective": fitted.objective, "verdict": verdict,
        "rollout": rolled.to_dict() if rolled else None, "warnings": reasons,
    }  # fmt: skip


def _verdict(fitted: Fit, N: float, D: float) -> tuple[str, list[dict[str, str]]]:
    values = {"n_params": N, "n_tokens": D, "flops": 6 * N * D}
    outside = [
        f"{name} {value:.3g} lies outside the measured {low:.3g} to {high:.3g}"
        for name, value in values.items()
        for low, high in [fitted.ranges[name]]
        if not low / INSIDE <= value <= high * INSIDE
    ]
    if values["flops"] > TOO_FAR * fitted.ranges["flops"][1]:
        return "refused", [{"code": "too_far", "message": text} for text in outside]
    return ("extrapolated" if outside else "supported"), [
        {"code": "extrapolated", "message": text} for text in outside
    ]
