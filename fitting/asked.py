"""Questions beyond compute-optimal training: a model to be served, or a corpus that runs out.

    C = 6 N D + 2 N D_inf     budget [FLOP], D_inf tokens to be served over the model's life

Each approach answers with its own optimum, where it knows losses off the optimum; a corpus that
repeats is for the repeated-data law, where the measurements themselves repeat. Sources: Sardana et
al. 2023 (arXiv:2401.00448), Muennighoff et al. 2023 (arXiv:2305.16264).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fitting.approaches import TITLES, Approach, Name
from fitting.bootstrap import interval
from fitting.checks import EPOCHS_FREE
from fitting.errors import Note, RefusalError
from fitting.fit import fit
from fitting.fitted import Fit
from fitting.laws.numeric import REACH, minimum_along
from fitting.laws.protocol import ORIGIN, Array, Points
from fitting.measurements import Measurements
from fitting.recommend import law_rollout
from fitting.recommendation import TOO_FAR
from fitting.rollout import Rollout

REPEATED = "muennighoff"
N_GRID = 2001
N_REFITS = 100  # of the repeated-data law, which has no closed form
HALF_LIFE = 15.387756  # published R_D*, for a warning where no repetition was measured
INSIDE = 1.5  # times the measured range that still counts as measured


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A budget, what it must also serve, and what the corpus holds."""

    flops: float
    inference_tokens: float = 0.0
    unique_tokens: float | None = None

    @property
    def plain(self) -> bool:
        """Compute-optimal training on as much data as it takes."""
        return not self.inference_tokens and self.unique_tokens is None

    def n_tokens(self, N: float) -> float:
        """What is left to train N parameters on; negative where serving alone costs more."""
        return (self.flops / N - 2 * self.inference_tokens) / 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One approach's answer; samples are (B,), finite."""

    log_n: float
    log_l: float
    sizes: Array  # ln N*
    losses: Array  # ln L*
    residual_sd: float
    fit: Fit | None
    rolled: Rollout | None = None  # of a law that is fitted for this question alone

    @classmethod
    def plain(cls, a: Approach, flops: float) -> "Reading":
        log_n, log_l = a.optimum(flops)
        sizes, losses = a.samples(flops)
        return cls(log_n=log_n, log_l=log_l, sizes=sizes, losses=losses,
                   residual_sd=a.residual_sd, fit=a.fit)  # fmt: skip


Readings = dict[str, Reading]
Weights = dict[str, float]


def read_all(
    approaches: Mapping[Name, Approach], weights: Mapping[Name, float], asked: Asked
) -> tuple[Readings, Weights, list[Note]]:
    """Every approach that can answer, and how the weight of the others is passed on.

    Raises:
        RefusalError: `no_surface`, with the reason of each approach.
    """
    if not asked.inference_tokens:  # none of them knows of unique tokens
        found: Readings = {str(k): Reading.plain(a, asked.flops) for k, a in approaches.items()}
        return found, {str(k): w for k, w in weights.items()}, []
    found, refused = {}, dict[str, str]()
    for name, approach in approaches.items():
        try:
            found[str(name)] = read_asked(approach, asked)
        except RefusalError as e:
            refused[name] = str(e)
    if not found:
        raise RefusalError(
            "no approach can say what to serve or to repeat", code="no_surface",
            reasons=tuple(refused.values()),
        )  # fmt: skip
    able = {str(k): w for k, w in weights.items() if k in found} or dict.fromkeys(found, 1.0)
    moved = [refused[k] for k in weights if k in refused]
    notes = [Note("weight_moved", f"{'; '.join(moved)}; the weight goes to {', '.join(TITLES[k] for k in able)}")] if moved else []  # fmt: skip
    return found, {k: w / sum(able.values()) for k, w in able.items()}, notes


def read_asked(a: Approach, asked: Asked) -> Reading:
    """The optimum of one approach along the budget.

    Raises:
        RefusalError: it knows no losses off the optimum, or has no minimum where it is known.
    """
    if a.fit is None:
        raise RefusalError(f"{TITLES[a.name]}: only the optimum is known, not the loss of other sizes", code="no_surface")  # fmt: skip
    valley = a.optimum(asked.flops)[0]
    reach = _measured_reach(a) if a.name == "frontier" else float(REACH)
    return along(a.fit, asked, valley, reach, TITLES[a.name])


def _measured_reach(a: Approach) -> float:
    """A local law is known as far from its valley, in ln N, as sizes were measured."""
    assert a.fit is not None  # noqa: S101
    (low, high), (least, most) = a.fit.ranges["n_params"], a.fit.ranges["flops"]
    return float(
        max(abs(np.log(low) - a.optimum(least)[0]), abs(np.log(high) - a.optimum(most)[0]))
    )


def along(fitted: Fit, asked: Asked, valley: float, reach: float, title: str) -> Reading:
    """Least loss on the budget within `reach` of ln N = `valley`, with the samples that have one.

    Raises:
        RefusalError: `no_optimum`, or only a few samples have one.
    """
    n = np.linspace(valley - reach, valley + reach, N_GRID)
    D = np.array([asked.n_tokens(N) for N in np.exp(n)])
    n, d = n[D > 0], np.log(D[D > 0])
    law = fitted.law_object
    point = law.theta({k: np.array([v]) for k, v in fitted.coefficients.items()}, ORIGIN)
    theta = np.concatenate([point, fitted.sample_theta])
    unique = d if asked.unique_tokens is None else np.minimum(d, np.log(asked.unique_tokens))
    log_n = (
        minimum_along(law, theta, n, d, unique, near=valley)
        if len(n) > 2
        else np.full(len(theta), np.nan)
    )
    known = np.isfinite(log_n)
    if not known[0] or known.mean() < 0.5:
        raise RefusalError(
            f"{title}: no optimum within a factor {np.exp(reach):.3g} of {np.exp(valley):.3g} "
            f"parameters, where it is known, at {asked.flops:.3g} FLOP"
            + (f" with {asked.inference_tokens:.3g} tokens to serve" if asked.inference_tokens else ""),
            code="no_optimum",
        )  # fmt: skip
    losses = np.array([_loss_at(fitted, t, x, asked) for t, x in zip(theta[known], log_n[known], strict=True)])  # fmt: skip
    return Reading(log_n=float(log_n[0]), log_l=float(losses[0]), sizes=log_n[known][1:],
                   losses=losses[1:], residual_sd=fitted.residual_sd, fit=fitted)  # fmt: skip


def _loss_at(fitted: Fit, theta: Array, log_n: float, asked: Asked) -> float:
    N = float(np.exp(log_n))
    x = Points.at(N, asked.n_tokens(N), asked.unique_tokens)
    return float(fitted.law_object.log_loss(theta[None], x)[0][0, 0])


def by_approach(readings: Readings, weights: Weights) -> dict[str, dict[str, Any]]:
    """N* and L* of every approach that answers, with 90 % intervals."""
    return {
        name: {
            "n_params": float(np.exp(r.log_n)), "loss": float(np.exp(r.log_l)),
            "interval_n_params": [float(v) for v in np.exp(interval(r.sizes))],
            "interval_loss": [float(v) for v in np.exp(interval(r.losses))],
            "weight": weights.get(name, 0.0),
        }
        for name, r in readings.items()
    }  # fmt: skip


def surface(readings: Readings, weights: Weights) -> tuple[Fit, float] | None:
    """The most trusted law that knows losses off the optimum, and its N*."""
    for name in sorted(readings, key=lambda k: -weights.get(k, 0.0)):
        if found := readings[name].fit:
            return found, float(np.exp(readings[name].log_n))
    return None


def inside(m: Measurements, N: float, D: float) -> bool:
    """Within the measured sizes and token counts, nearly."""
    pairs = ((N, m.n_params), (D, m.n_tokens))
    return all(v.min() / INSIDE <= x <= v.max() * INSIDE for x, v in pairs)


def read_repeated(m: Measurements, asked: Asked, *, n_bootstrap: int, seed: int) -> Reading | None:
    """The repeated-data law's answer; None where the measurements do not repeat, or cannot tell."""
    if m.unique_tokens is None or not (m.n_tokens > 1.01 * m.unique_tokens).any():
        return None
    n = min(n_bootstrap, N_REFITS)
    try:
        found = fit(m, law=REPEATED, delta="mad", n_bootstrap=n, seed=seed)
        answer = along(found, asked, float(np.log(asked.flops / 6) / 2), float(REACH), f"the {REPEATED} law")  # fmt: skip
    except RefusalError:
        return None
    try:
        return replace(answer, rolled=law_rollout(found, m))
    except RefusalError:
        return answer


def data_notes(m: Measurements, asked: Asked, N: float, *, penalised: bool) -> list[Note]:
    """Epochs, and what they are worth; a ratio D/N that nobody measured."""
    D = asked.n_tokens(N)
    ratio = m.n_tokens / m.n_params
    notes = []
    if not asked.plain and not ratio.min() / INSIDE <= D / N <= ratio.max() * INSIDE:
        notes.append(Note("ratio_extrapolated", f"{D / N:.3g} tokens per parameter lie outside the "
                          f"measured {ratio.min():.3g} to {ratio.max():.3g}"))  # fmt: skip
    U = asked.unique_tokens
    if U is None or U >= D:
        return notes
    text = f"{D:.3g} tokens are {D / U:.3g} epochs of {U:.3g} unique tokens"
    if penalised:
        return [*notes, Note("repeated_data", f"{text}; the {REPEATED} law, fitted to the measured repetitions, counts what they are worth")]  # fmt: skip
    worth = U * (1 + HALF_LIFE * -np.expm1(-(D / U - 1) / HALF_LIFE))
    return [*notes, Note("repetition_unmeasured", (
        f"{text}, and no measured run tells what repetition costs here: N*, D* and the loss assume new "
        f"tokens and are too good (by the published half-life of {HALF_LIFE:.3g} epochs they are "
        f"worth {worth:.3g} new tokens; sweep with repeated data, or use a larger corpus)"))]  # fmt: skip


def repetition_notes(m: Measurements, fresh: Measurements) -> list[Note]:
    """Which runs the approaches leave to the law that knows of repetition."""
    if m.unique_tokens is None:
        return []
    n = int((m.n_tokens > EPOCHS_FREE * m.unique_tokens).sum())
    text = f"{n} of {len(m)} runs repeat their data more than {EPOCHS_FREE} times"
    if len(fresh) < len(m):
        return [Note("repeated_rows", f"{text}; the approaches read the others, and only the {REPEATED} law reads all")]  # fmt: skip
    return [Note("repeated_rows", f"{text}, which the approaches do not know, and too few do not")] if n else []  # fmt: skip


def check_servable(m: Measurements, asked: Asked) -> None:
    """Serving alone bounds N by C / (2 D_inf).

    Raises:
        RefusalError: `too_small`, that is far below any size that was measured.
    """
    least = float(m.n_params.min())
    most = asked.flops / (2 * asked.inference_tokens) if asked.inference_tokens else np.inf
    if most < least / np.sqrt(TOO_FAR):
        raise RefusalError(
            f"serving {asked.inference_tokens:.3g} tokens on {asked.flops:.3g} FLOP leaves less than "
            f"{most:.3g} parameters, not a hundredth of the smallest measured ({least:.3g}); a larger "
            "budget or fewer tokens are needed", code="too_small",
        )  # fmt: skip
