"""Does the method extrapolate? Hold out the largest budgets, predict them, compare.

The error of ln L grows with distance, taken as proportional to ln(C / largest C seen): the rate,
measured here at small scale, inflates the prediction interval at the target.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitting.errors import RefusalError
from fitting.isoflop import Budget, budgets, parabola
from fitting.measurements import Measurements

HELD_SHARE = 0.2  # of the measurements, where there are no budgets
MIN_DISTANCE = 0.5  # in ln C; nearer hold-outs would exaggerate the rate
# Of ln L per unit of ln C, where nothing could be held out. OLMo's ladder erred by 2.0 and 3.8 % at
# 80 and 200 times its largest run (Bhagia et al. 2024, arXiv:2412.04403), .45 and .7 % per unit.
UNTESTED = 6e-3

Predictor = Callable[[float], tuple[float, float]]  # C -> ln N*, ln L*
Method = Callable[[Measurements], Predictor]


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """One prediction of a budget that the fit had not seen; errors are predicted - measured."""

    flops: float
    distance: float  # ln(flops / largest flops seen)
    error_log_loss: float
    error_log_size: float  # NaN where the measured curve has no minimum inside

    @property
    def question(self) -> tuple[float, float]:
        """What was asked, the same for every method: the budget, and how far beyond the seen."""
        return self.flops, self.distance

    def to_dict(self) -> dict[str, Any]:
        size = self.error_log_size
        return {"flops": self.flops, "distance": self.distance,
                "loss_error": float(np.expm1(self.error_log_loss)),
                "size_error": float(np.expm1(size)) if np.isfinite(size) else None}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """All hold-outs of one method."""

    held_out: tuple[HeldOut, ...]

    @property
    def rms(self) -> float:
        """Root mean square error of ln L."""
        return float(np.sqrt(np.mean([h.error_log_loss**2 for h in self.held_out])))

    def only(self, questions: AbstractSet[tuple[float, float]]) -> "Rollout":
        """Some of the hold-outs."""
        return Rollout(held_out=tuple(h for h in self.held_out if h.question in questions))

    def error_at(self, distance: float) -> float:
        """Expected error (one sigma) of ln L this far, in ln C, beyond what was measured."""
        rates = [h.error_log_loss / max(h.distance, MIN_DISTANCE) for h in self.held_out]
        return float(np.sqrt(np.mean(np.square(rates)))) * distance

    def to_dict(self) -> dict[str, Any]:
        return {"rms": self.rms, "held_out": [h.to_dict() for h in self.held_out]}


def error_beyond(rolled: Rollout | None, distance: float) -> float:
    """`Rollout.error_at`; where no rollout was possible, what published extrapolations erred by."""
    return rolled.error_at(distance) if rolled else UNTESTED * distance


def rollout(m: Measurements, method: Method, *, min_seen: int = 2) -> Rollout:
    """Hold out the largest budget, then the two largest, as long as `min_seen` remain.

    Raises:
        RefusalError: `no_rollout`, or whatever the method refuses without the largest budget.
    """
    found = budgets(m)
    if len(found) <= min_seen:
        raise RefusalError(
            f"a rollout needs {min_seen + 1} budgets; got {len(found)}", code="no_rollout"
        )
    results: list[HeldOut] = []
    for n_held in (1, 2):
        if len(found) - n_held < min_seen or (n_held > 1 and len(found) < 4):
            break
        try:
            results += _hold(m, method, found, n_held)
        except RefusalError:
            if not results:
                raise
    return Rollout(held_out=tuple(results))


def _hold(m: Measurements, method: Method, found: list[Budget], n_held: int) -> list[HeldOut]:
    largest = found[-n_held - 1]
    nominal = m.flops if m.budget_flops is None else m.budget_flops  # as `budgets` tells them apart
    predict = method(m.select(nominal <= nominal[largest.rows].max()))
    return [_compare(m, predict, b, largest.flops) for b in found[-n_held:]]


def _compare(m: Measurements, predict: Predictor, b: Budget, largest: float) -> HeldOut:
    seen = parabola(np.log(m.n_params[b.rows]), m.loss[b.rows], b.flops)
    log_n, log_l = predict(b.flops)
    measured = np.log(seen.loss) if not seen.reason else np.log(m.loss[b.rows].min())
    return HeldOut(
        flops=b.flops,
        distance=float(np.log(b.flops / largest)),
        error_log_loss=float(log_l - measured),
        error_log_size=float(log_n - np.log(seen.n_params)) if not seen.reason else float("nan"),
    )


def rollout_points(m: Measurements, predict_held: Callable[[Measurements, Measurements], Any]) -> Rollout:  # fmt: skip
    """Rollout without budgets: hold out the fifth of the points with the most compute.

    `predict_held(seen, held)` returns ln L at the held-out points; their median error counts.
    """
    edge = np.quantile(m.flops, 1 - HELD_SHARE)
    n_held = int((m.flops > edge).sum())
    if n_held < 2:  # most points have the largest compute
        raise RefusalError(
            f"a rollout needs 3 budgets, or 2 points above the others in compute; got {n_held}",
            code="no_rollout",
        )
    seen, held = m.select(m.flops <= edge), m.select(m.flops > edge)
    error = float(np.median(predict_held(seen, held) - np.log(held.loss)))
    largest, flops = float(seen.flops.max()), float(np.exp(np.mean(np.log(held.flops))))
    distance = float(np.log(flops / largest))
    return Rollout(held_out=(HeldOut(flops=flops, distance=distance, error_log_loss=error,
                                     error_log_size=float("nan")),))  # fmt: skip
