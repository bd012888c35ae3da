"""Everything a sweep says: all approaches, which of them extrapolates, and one recommendation.

Approaches are weighted by how well they predicted the largest budgets from the smaller ones; the
recommendation's samples are a mixture with these weights, so disagreement widens its interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitting.approaches import NAMES, TITLES, Approach, Name, read
from fitting.bias import corrected, design_bias
from fitting.bootstrap import interval
from fitting.checks import check_spread
from fitting.errors import InputError, RefusalError
from fitting.isoflop import Array
from fitting.measurements import Measurements
from fitting.recommend import flat_band
from fitting.recommendation import Z90, Estimate, Recommendation, judge, widened
from fitting.rollout import Rollout
from fitting.trust import cross_check, explain, roll_all, weigh
from fitting.warnings import Note

# The others cross-check: approach 2 is biased by the skew of its curves, approach 1 by its grid.
AVERAGED: tuple[Name, ...] = ("frontier", "chinchilla")
DEFAULT_BOOTSTRAP = 300
FALLBACK: tuple[Name, ...] = ("parabola", "akima", "envelope")


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """`weights` sum to one; `trusted` has the largest."""

    measurements: Measurements
    approaches: dict[Name, Approach]
    refused: dict[Name, str]
    rollouts: dict[Name, Rollout]
    weights: dict[Name, float]
    trusted: Name
    why: str
    warnings: tuple[Note, ...]
    n_bootstrap: int
    seed: int

    def recommend(self, flops: float) -> Recommendation:
        """What to train on `flops`, weighted over the approaches that extrapolate.

        Raises:
            InputError: `flops` cannot be meant.
        """
        if not (np.isfinite(flops) and flops > 0):
            raise InputError(f"flops must be finite and positive; got {flops}", field="flops")
        log_n, log_l = self.optimum(flops)
        samples_n, samples_l = self.samples(flops)
        largest = float(self.measurements.flops.max())
        low, high = (float(v) for v in np.exp(interval(samples_n)))
        N = float(np.exp(log_n))
        verdict, reasons = judge(flops, largest, (low, high), inside=True)
        extra = Z90 * self.error_at(flops)
        loss = np.exp([log_l, *widened(log_l, interval(samples_l), extra)])
        return Recommendation(
            flops=flops, n_params=N, n_tokens=flops / (6 * N),
            loss=Estimate(value=float(loss[0]), low=float(loss[1]), high=float(loss[2])),
            interval_n_params=(low, high),
            interval_n_tokens=(flops / (6 * high), flops / (6 * low)),
            flat_band=self.flat_band(flops, N), verdict=verdict, method=self.trusted,
            extrapolation=flops / largest, warnings=(*reasons, *self.warnings),
            details={"by_approach": self.by_approach(flops), "why": self.why},
        )  # fmt: skip

    def optimum(self, flops: float) -> tuple[float, float]:
        """Weighted ln N* and ln L*."""
        points = np.array([self.approaches[k].optimum(flops) for k in self.weights])
        log_n, log_l = np.array(list(self.weights.values())) @ points
        return float(log_n), float(log_l)

    def samples(self, flops: float) -> tuple[Array, Array]:
        """Mixture of the approaches' resamples of ln N* and ln L*."""
        rng = np.random.default_rng(self.seed)
        n = self.n_bootstrap
        parts = []
        for name, weight in self.weights.items():
            sizes, losses = self.approaches[name].samples(flops)
            take = rng.integers(len(sizes), size=round(weight * n))
            parts.append(np.stack([sizes[take], losses[take]]))
        mixed = np.concatenate(parts, axis=1)
        return mixed[0], mixed[1]

    def error_at(self, flops: float) -> float:
        """One sigma of ln L beyond sampling: scatter of a run, and the rollout's growing error."""
        distance = float(np.log(flops / self.measurements.flops.max()))
        scatter = [w * self.approaches[k].residual_sd ** 2 for k, w in self.weights.items()]
        rolled = [w * self.rollouts[k].error_at(distance) ** 2 for k, w in self.weights.items()
                  if k in self.rollouts]  # fmt: skip
        return float(np.sqrt(sum(scatter) + sum(rolled)))

    def flat_band(self, flops: float, N: float) -> tuple[float, float]:
        """Sizes within 2 % compute, by the most trusted law, moved to the recommended N."""
        fits = [(w, a.fit) for k, w in self._ranked() if (a := self.approaches[k]).fit]
        if not fits or fits[0][1] is None:
            return N, N
        law = fits[0][1]
        best = float(law.optimum(flops)[0])
        low, high = flat_band(law, flops, best, 0.0, None)
        return N * low / best, N * high / best

    def by_approach(self, flops: float) -> dict[str, dict[str, Any]]:
        """N* and L* of every approach with 90 % intervals."""
        out = {}
        for name, approach in self.approaches.items():
            log_n, log_l = approach.optimum(flops)
            sizes, losses = (interval(s) for s in approach.samples(flops))
            out[str(name)] = {
                "n_params": float(np.exp(log_n)), "loss": float(np.exp(log_l)),
                "interval_n_params": [float(v) for v in np.exp(sizes)],
                "interval_loss": [float(v) for v in np.exp(losses)],
                "weight": self.weights.get(name, 0.0),
            }  # fmt: skip
        return out

    def parabola_bias(self) -> dict[str, float] | None:
        """Approach 2's error of N* by its own design under approach 3's law, and a with it taken off."""
        two, three = self.approaches.get("parabola"), self.approaches.get("chinchilla")
        if two is None or two.curves is None or three is None or three.fit is None:
            return None
        _, bias = design_bias(self.measurements, three.fit.coefficients)
        if not np.isfinite(bias).any():
            return None
        line = corrected(two.curves, self.measurements, three.fit.coefficients)
        return {"mean_size_error": float(np.expm1(np.nanmean(bias))), "a_corrected": line.slope}

    def _ranked(self) -> list[tuple[Name, float]]:
        known = {k: self.weights.get(k, 0.0) for k in self.approaches}
        return sorted(known.items(), key=lambda item: -item[1])

    def to_dict(self) -> dict[str, Any]:
        """JSON; `from_dict` analyses the contained measurements again."""
        m = self.measurements
        return {
            "law": "auto", "trusted": self.trusted, "why": self.why, "weights": dict(self.weights),
            "approaches": {k: _summary(a, self.rollouts.get(k)) for k, a in self.approaches.items()},
            "parabola_bias": self.parabola_bias(), "refused": dict(self.refused), "warnings": [n.to_dict() for n in self.warnings],
            "n_measurements": len(m), "n_bootstrap": self.n_bootstrap, "seed": self.seed,
            "measurements": m.to_columns(),
            "meta": {"loss_unit": m.loss_unit, "tokenizer": m.tokenizer, "source": m.source,
                     "n_convention": m.n_convention},
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Analysis":
        """The same analysis: it is deterministic in its measurements and seed."""
        m = Measurements.from_columns(data["measurements"], **data["meta"])
        return analyse(m, n_bootstrap=data["n_bootstrap"], seed=data["seed"])


def analyse(m: Measurements, *, n_bootstrap: int = 1000, seed: int = 0) -> Analysis:
    """Read a sweep in every way, hold out its largest budgets, and say which way to trust.

    Args:
        m: decayed measurements; isoFLOP budgets where there are some.
        n_bootstrap: resamples of each approach; 0 means `DEFAULT_BOOTSTRAP`: no answer is without.
        seed: of the resamples.

    Raises:
        RefusalError: no approach can read the data; `reasons` has one per approach.
    """
    if m.decayed is not None and not m.decayed.all():
        raise RefusalError(
            f"{int((~m.decayed).sum())} of {len(m)} measurements were taken before the learning "
            "rate had decayed; only decayed losses lie on a law", code="undecayed",
        )  # fmt: skip
    check_spread(m)
    n_bootstrap = n_bootstrap or DEFAULT_BOOTSTRAP
    if n_bootstrap < 2:
        raise InputError(f"n_bootstrap must be at least 2; got {n_bootstrap}", field="n_bootstrap")
    approaches, refused = _read_all(m, n_bootstrap, seed)
    rollouts = roll_all(m, approaches)
    usable = [k for k in AVERAGED if k in approaches] or [k for k in FALLBACK if k in approaches]
    if not usable:
        reasons = tuple(f"{TITLES[k]}: {v}" for k, v in refused.items())
        raise RefusalError("no approach can read these measurements", code="unreadable", reasons=reasons)  # fmt: skip
    weights = weigh(m, usable, approaches, rollouts)
    trusted = max(weights, key=lambda k: weights[k])
    return Analysis(
        measurements=m, approaches=approaches, refused=refused, rollouts=rollouts,
        weights=weights, trusted=trusted, why=explain(trusted, weights, rollouts),
        warnings=cross_check(m, approaches, refused), n_bootstrap=n_bootstrap, seed=seed,
    )  # fmt: skip


def _read_all(
    m: Measurements, n_bootstrap: int, seed: int
) -> tuple[dict[Name, Approach], dict[Name, str]]:
    approaches: dict[Name, Approach] = {}
    refused: dict[Name, str] = {}
    for name in NAMES:
        try:
            approaches[name] = read(m, name, n_bootstrap=n_bootstrap, seed=seed)
        except RefusalError as e:
            refused[name] = "; ".join(e.reasons)
    return approaches, refused


def _summary(a: Approach, rolled: Rollout | None) -> dict[str, Any]:
    low, high = interval(a.exponent_samples)
    return {
        "title": TITLES[a.name], "a": a.exponent, "interval_a": [low, high],
        "residual_sd": a.residual_sd, "n_samples": len(a.exponent_samples),
        "rollout": rolled.to_dict() if rolled else None,
        "coefficients": a.fit.coefficients if a.fit else None,
        "minima": [
            {"flops": q.flops, "n_params": q.n_params, "loss": q.loss, "reason": q.reason}
            for q in a.curves.minima
        ] if a.curves else None,
    }  # fmt: skip
