"""Which approach to trust: by its errors on held-out budgets, and by its own uncertainty."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fitting.approaches import TITLES, Approach, Name, predictor
from fitting.bootstrap import interval
from fitting.errors import Note, RefusalError
from fitting.fit import fit
from fitting.measurements import Measurements
from fitting.recommendation import Z90
from fitting.rollout import UNTESTED, Rollout, rollout
from fitting.stray import stray_notes

NOISE = 2e-3  # of ln L: rollout errors below the scatter of single runs tell nothing
NEGLIGIBLE = 0.05  # of the largest weight


def roll_all(m: Measurements, approaches: Mapping[Name, Approach]) -> dict[Name, Rollout]:
    """Rollouts of the approaches that can be fitted without the largest budget."""
    found: dict[Name, Rollout] = {}
    for name in approaches:
        try:
            found[name] = rollout(m, predictor(name))
        except RefusalError:
            continue
    return found


def weigh(
    m: Measurements, usable: list[Name], approaches: Mapping[Name, Approach],
    rollouts: Mapping[Name, Rollout],
) -> dict[Name, float]:  # fmt: skip
    """Inverse expected squared error of ln L at ten times the largest compute.

    Judged by the hold-outs that all of them could be asked: an approach that cannot be fitted
    without the two largest budgets must not look better for having been spared the harder test.
    Where none can be tested they share the weight.
    """
    rolled = [k for k in usable if k in rollouts]
    if not rolled:  # nothing tells them apart; their spread belongs into the interval
        return dict.fromkeys(usable, 1 / len(usable))
    common = set.intersection(*({h.question for h in rollouts[k].held_out} for k in rolled))
    raw = {k: 1 / _variance(m, approaches[k], rollouts[k].only(common)) for k in rolled}
    top = max(raw.values())
    kept = {k: v for k, v in raw.items() if v >= NEGLIGIBLE * top}
    return {k: v / sum(kept.values()) for k, v in kept.items()}


def _variance(m: Measurements, a: Approach, rolled: Rollout) -> float:
    """What the rollout makes of its error there, the resamples' variance, and a floor of noise."""
    spread = interval(a.samples(10 * float(m.flops.max()))[1])
    sampling = (spread[1] - spread[0]) / (2 * Z90)
    return float(rolled.error_at(np.log(10)) ** 2 + sampling**2 + NOISE**2)


def explain(trusted: Name, weights: Mapping[Name, float], rollouts: Mapping[Name, Rollout]) -> str:
    """One sentence for people."""
    if trusted not in rollouts:
        return "too few budgets to hold one out: no approach could be tested"
    tested = {k: r for k, r in rollouts.items() if k in weights or k == trusted}
    others = {k: r for k, r in rollouts.items() if k not in tested}

    def errors(some: Mapping[Name, Rollout]) -> str:
        return ", ".join(f"{TITLES[k]} {100 * r.rms:.2g} %" for k, r in some.items())

    checks = f"; cross-checks, not used: {errors(others)}" if others else ""
    return (
        f"{TITLES[trusted]} has {100 * weights[trusted]:.0f} % of the weight: it predicted the largest "
        "budgets from the smaller ones best and with the least uncertainty (error of the loss: "
        f"{errors(tested)}{checks})"
    )


def untested(
    weights: Mapping[Name, float], approaches: Mapping[Name, Approach],
    rollouts: Mapping[Name, Rollout],
) -> tuple[Note, ...]:  # fmt: skip
    """What the answer assumes where too few budgets were measured to test it."""
    notes = []
    if not any(k in rollouts for k in weights):
        notes.append(Note("no_rollout", (
            "too few budgets to hold one out: the approaches share the weight, and the interval of "
            f"the loss assumes an error of {100 * UNTESTED:.1g} % per factor e of compute, as published "
            "extrapolations had (measure a third budget)")))  # fmt: skip
    valley = approaches["frontier"].fit if "frontier" in weights else None
    if valley and "E" in valley.diagnostics["fixed"]:
        notes.append(Note("floor_assumed_zero", (
            "two budgets tell nothing of the floor of the loss: the valley assumes none, and is too "
            "hopeful far beyond them (measure a third budget)")))  # fmt: skip
    return tuple(notes)


def cross_check(
    m: Measurements, approaches: Mapping[Name, Approach], refused: Mapping[Name, str]
) -> tuple[Note, ...]:
    """Where approaches refuse, or contradict one another."""
    notes = [Note(f"refused_{k}", f"{TITLES[k]} cannot read these data: {v}") for k, v in refused.items()]  # fmt: skip
    notes += _disagreement(approaches)
    if m.n_excluded:
        notes.append(Note("rows_excluded", f"{m.n_excluded} rows flagged excluded_outlier were left out"))  # fmt: skip
    return tuple(notes)


def stray(m: Measurements, approaches: Mapping[Name, Approach]) -> tuple[Note, ...]:
    """Measurements far from the additive law, which one bad run does not move, whether or not its
    resamples have optima; far from the others, where it cannot be fitted."""
    known = approaches["chinchilla"].fit if "chinchilla" in approaches else None
    try:
        law = known or fit(m, law="chinchilla", delta="mad")
    except RefusalError:
        return stray_notes(m, np.zeros(len(m)))
    off = np.log(m.loss / law.predict(m.n_params, m.n_tokens, m.unique_tokens))
    return stray_notes(m, off, n_coefficients=len(law.coefficients))


def _disagreement(approaches: Mapping[Name, Approach]) -> list[Note]:
    """Pairs of approaches whose 90 % intervals of the exponent a do not meet."""
    bands = {k: interval(a.exponent_samples) for k, a in approaches.items()}
    notes, names = [], list(bands)
    for i, one in enumerate(names):
        for two in names[i + 1 :]:
            if bands[one][0] > bands[two][1] or bands[two][0] > bands[one][1]:
                a, b = approaches[one], approaches[two]
                notes.append(Note("approaches_disagree", (
                    f"{TITLES[one]} has N* ~ C^{a.exponent:.2f}, {TITLES[two]} C^{b.exponent:.2f}; "
                    f"their 90 % intervals do not meet")))  # fmt: skip
    return notes


def summary(a: Approach, rolled: Rollout | None) -> dict[str, Any]:
    """JSON of an approach, and of how it extrapolated."""
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
