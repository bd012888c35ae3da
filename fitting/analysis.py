"""Everything a sweep says: all approaches, which of them extrapolates, and one recommendation.

Approaches are weighted by how well they predicted the largest budgets from the smaller ones; the
recommendation's samples are a mixture with these weights, so disagreement widens its interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitting.approaches import TITLES, Approach, Name, read_each
from fitting.asked import (
    REPEATED,
    Asked,
    Readings,
    Weights,
    by_approach,
    check_servable,
    data_notes,
    inside,
    read_all,
    read_repeated,
    repetition_notes,
    surface,
)
from fitting.bias import corrected, design_bias
from fitting.bootstrap import check_resampling, interval
from fitting.checks import check_signal, check_spread, without_repetition
from fitting.errors import Note, RefusalError
from fitting.isoflop import Array
from fitting.measurements import Measurements
from fitting.recommend import check_question, flat_band, regrets
from fitting.recommendation import Z90, Estimate, Recommendation, beyond, judge, widened
from fitting.rollout import Rollout, error_beyond
from fitting.trust import cross_check, explain, roll_all, stray, summary, untested, weigh

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

    def recommend(
        self, flops: float, *, inference_tokens: float = 0.0, unique_tokens: float | None = None
    ) -> Recommendation:
        """What to train on `flops`, weighted over the approaches that extrapolate.

        Args:
            flops: budget for training and serving together [FLOP].
            inference_tokens: to be served over the model's life [tokens].
            unique_tokens: what the corpus holds [tokens]; None: as many as needed.

        Raises:
            InputError: a number that cannot be meant.
            RefusalError: no approach can answer such a question.
        """
        check_question(flops, inference_tokens, unique_tokens)
        asked = Asked(flops=flops, inference_tokens=inference_tokens, unique_tokens=unique_tokens)
        check_servable(self.measurements, asked)
        return self._answer(asked, *self._read(asked))

    @property
    def fresh(self) -> Measurements:
        """What the approaches read."""
        return without_repetition(self.measurements)

    @property
    def measured(self) -> tuple[float, float]:
        """Least and largest compute that the approaches read [FLOP]."""
        flops = self.fresh.flops
        return float(flops.min()), float(flops.max())

    def _read(self, asked: Asked) -> tuple[Readings, Weights, list[Note]]:
        """Readings of the question, repeated data by the law that knows of them."""
        readings, weights, notes = read_all(self.approaches, self.weights, asked)
        U = asked.unique_tokens
        N = float(np.exp(sum(w * readings[k].log_n for k, w in weights.items())))
        if U is None or asked.n_tokens(N) <= U:
            return readings, weights, notes
        repeated = read_repeated(self.measurements, asked, n_bootstrap=self.n_bootstrap, seed=self.seed)  # fmt: skip
        if repeated is None:
            return readings, weights, notes
        notes = [Note("weight_moved", f"the corpus repeats, which only the {REPEATED} law knows: it has all the weight")]  # fmt: skip
        return readings | {REPEATED: repeated}, {REPEATED: 1.0}, notes

    def _answer(
        self, asked: Asked, readings: Readings, weights: Weights, notes: list[Note]
    ) -> Recommendation:
        flops, m = asked.flops, self.measurements
        log_n, log_l = (sum(w * getattr(readings[k], v) for k, w in weights.items()) for v in ("log_n", "log_l"))  # fmt: skip
        samples_n, samples_l = self._mix(readings, weights)
        low, high = (float(v) for v in np.exp(interval(samples_n)))
        N = float(np.exp(log_n))
        D = asked.n_tokens(N)
        verdict, reasons = judge(flops, self.measured, (low, high), inside=inside(m, N, D))
        extra = Z90 * self.error_at(6 * N * D, readings, weights)
        loss = np.exp([log_l, *widened(log_l, interval(samples_l), extra)])
        method = max(weights, key=lambda k: weights[k])
        notes = [*reasons, *notes, *data_notes(m, asked, N, penalised=method == REPEATED)]
        return Recommendation(
            flops=flops, n_params=N, n_tokens=D, train_flops=6 * N * D,
            loss=Estimate(value=float(loss[0]), low=float(loss[1]), high=float(loss[2])),
            interval_n_params=(low, high),
            interval_n_tokens=(max(asked.n_tokens(high), 0.0), max(asked.n_tokens(low), 0.0)),
            flat_band=self._flat_band(asked, readings, weights, N), verdict=verdict,
            method=method, extrapolation=flops / self.measured[1],
            warnings=(*notes, *self.warnings),
            details={"by_approach": by_approach(readings, weights), "why": self.why},
        )  # fmt: skip

    def samples(self, flops: float) -> tuple[Array, Array]:
        """Resamples of ln N* and ln L* of compute-optimal training."""
        return self._mix(*self._read(Asked(flops=flops))[:2])

    def _mix(self, readings: Readings, weights: Weights) -> tuple[Array, Array]:
        """Mixture of the approaches' resamples of ln N* and ln L*."""
        rng = np.random.default_rng(self.seed)
        parts = []
        for name, weight in weights.items():
            r = readings[name]
            take = rng.integers(len(r.sizes), size=round(weight * self.n_bootstrap))
            parts.append(np.stack([r.sizes[take], r.losses[take]]))
        mixed = np.concatenate(parts, axis=1)
        return mixed[0], mixed[1]

    def error_at(self, flops: float, readings: Readings, weights: Weights) -> float:
        """One sigma of ln L beyond sampling: scatter of a run, and the rollout's growing error."""
        distance = beyond(flops, self.measured)
        rollouts: dict[str, Rollout] = {str(k): r for k, r in self.rollouts.items()}
        scatter = [w * readings[k].residual_sd ** 2 for k, w in weights.items()]
        rolled = [w * error_beyond(rollouts.get(k) or readings[k].rolled, distance) ** 2
                  for k, w in weights.items()]  # fmt: skip
        return float(np.sqrt(sum(scatter) + sum(rolled)))

    def _flat_band(
        self, asked: Asked, readings: Readings, weights: Weights, N: float
    ) -> tuple[float, float] | None:
        """Sizes within 2 % compute, by the most trusted law, moved to the recommended N.

        None: no law could be fitted, so losses off the optimum are not known.
        """
        law = surface(readings, weights)
        if law is None:
            return None
        fitted, best = law
        low, high = flat_band(fitted, asked.flops, best, asked.inference_tokens, asked.unique_tokens)  # fmt: skip
        return N * low / best, N * high / best

    def regrets(self, flops: float) -> list[dict[str, float]]:
        """Extra compute of sizes around the recommended, by the same law and as moved as the flat band."""
        readings, weights, _ = self._read(Asked(flops=flops))
        law = surface(readings, weights)
        if law is None:
            return []
        fitted, best = law
        N = float(np.exp(sum(w * readings[k].log_n for k, w in weights.items())))
        return [row | {"n_params": row["n_params"] * N / best} for row in regrets(fitted, flops)]

    def parabola_bias(self) -> dict[str, float] | None:
        """Approach 2's error of N* by its own design under approach 3's law, and a with it taken off."""
        two, three = self.approaches.get("parabola"), self.approaches.get("chinchilla")
        if two is None or two.curves is None or three is None or three.fit is None:
            return None
        _, bias = design_bias(self.fresh, three.fit.coefficients)
        if not np.isfinite(bias).any():
            return None
        line = corrected(two.curves, self.fresh, three.fit.coefficients)
        return {"mean_size_error": float(np.expm1(np.nanmean(bias))), "a_corrected": line.slope}

    def to_dict(self) -> dict[str, Any]:
        """JSON; `from_dict` analyses the contained measurements again."""
        m = self.measurements
        return {
            "law": "auto", "trusted": self.trusted, "why": self.why, "weights": dict(self.weights),
            "approaches": {k: summary(a, self.rollouts.get(k)) for k, a in self.approaches.items()},
            "parabola_bias": self.parabola_bias(),
            "refused": dict(self.refused), "warnings": [n.to_dict() for n in self.warnings],
            "n_measurements": len(m), "n_bootstrap": self.n_bootstrap, "seed": self.seed,
            "measurements": m.to_columns(),
            "meta": {"loss_unit": m.loss_unit, "tokenizer": m.tokenizer, "source": m.source,
                     "n_convention": m.n_convention, "n_excluded": m.n_excluded},
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
        InputError: a number of resamples, or a seed, that cannot be meant.
        RefusalError: the losses follow nothing, or no approach can read them; `reasons` has one per
            approach.
    """
    if m.decayed is not None and not m.decayed.all():
        raise RefusalError(
            f"{int((~m.decayed).sum())} of {len(m)} measurements were taken before the learning "
            "rate had decayed; only decayed losses lie on a law", code="undecayed",
        )  # fmt: skip
    check_spread(m)
    n_bootstrap = n_bootstrap or DEFAULT_BOOTSTRAP
    check_resampling(n_bootstrap, seed)
    fresh = without_repetition(m)
    check_signal(fresh)
    approaches, refused = read_each(fresh, n_bootstrap=n_bootstrap, seed=seed)
    far = stray(fresh, approaches)
    rollouts = roll_all(fresh, approaches)
    usable = [k for k in AVERAGED if k in approaches] or [k for k in FALLBACK if k in approaches]
    if "parabola" not in approaches:  # Akima's curve has minima in noise, too
        usable = [k for k in usable if k != "akima"]
    if not usable:
        reasons = (*(n.message for n in far), *(f"{TITLES[k]}: {v}" for k, v in refused.items()))
        raise RefusalError("no approach can read these measurements", code="unreadable", reasons=reasons)  # fmt: skip
    weights = weigh(fresh, usable, approaches, rollouts)
    trusted = max(weights, key=lambda k: weights[k])
    return Analysis(
        measurements=m, approaches=approaches, refused=refused, rollouts=rollouts,
        weights=weights, trusted=trusted, why=explain(trusted, weights, rollouts),
        warnings=(*far, *untested(weights, approaches, rollouts),
                  *cross_check(m, approaches, refused), *repetition_notes(m, fresh)),
        n_bootstrap=n_bootstrap, seed=seed,
    )  # fmt: skip
