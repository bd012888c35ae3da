"""One answer about a sweep's design: what it tells, which runs are next, how to split a budget."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fitting.design import SCATTER, next_runs, prospect
from fitting.errors import InputError, RefusalError
from fitting.fit import fit
from fitting.laws.chinchilla import Chinchilla
from fitting.laws.protocol import ORIGIN
from fitting.measurements import Measurements
from fitting.split import split

# Besiroglu et al. 2024 (arXiv:2404.10102), Huber optimum: what is assumed before the first run.
ASSUMED = {"E": 1.81722, "A": 477.826, "B": 2143.417, "alpha": 0.34731, "beta": 0.36717}
N_SIZES, WIDTH = 13, 8.0  # candidates per budget, and how far from its optimum
STEPS = (1.0, 3.0, 10.0)  # candidate budgets over the largest measured
SHARE_OF_TARGET = 0.1  # a candidate costs at most this


def advise(
    m: Measurements | None, *, target: float, total: float | None = None,
    scatter: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """JSON for `isoflop design`.

    Args:
        m: what is measured; None: published coefficients are assumed and nothing is known.
        target: budget to be asked about [FLOP].
        total: sweep and final run together [FLOP]; None: no split.
        scatter: of ln L between equal runs; None: the fit's own, or .3 %.

    Raises:
        InputError: a target, total or scatter that cannot be meant.
    """
    for name, value in (("target", target), ("total", total), ("scatter", scatter)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"{name} must be finite and positive; got {value}", field=name)
    if m is None:
        coefficients, sd = ASSUMED, SCATTER if scatter is None else scatter
        notes = [("assumed_law", "no measurements: the law of Epoch's Chinchilla fit is assumed")]
        now, steps = None, list[dict[str, float]]()
    else:
        found = fit(m, delta="mad")
        coefficients = found.coefficients
        sd = max(found.residual_sd, 1e-4) if scatter is None else scatter
        now = prospect(m.n_params, m.n_tokens, coefficients=coefficients, target=target, scatter=sd)
        steps, notes = _steps(m, coefficients, target, sd)
    shared = split(total, coefficients, scatter=sd).to_dict() if total else None
    return {
        "target": target, "total": total, "scatter": sd, "coefficients": dict(coefficients),
        "now": now.to_dict() if now else None, "next_runs": steps, "split": shared,
        "next_flops": sum(s["flops"] for s in steps),
        "warnings": [{"code": c, "message": text} for c, text in notes],
    }  # fmt: skip


def best_size(coefficients: Mapping[str, float], flops: float) -> float:
    """N* of the additive law [params]."""
    law = Chinchilla()
    theta = law.theta({k: np.array([coefficients[k]]) for k in law.names}, ORIGIN)
    return float(np.exp(law.log_optimum(theta, np.array([flops]))[0, 0]))


def _steps(
    m: Measurements, coefficients: dict[str, float], target: float, scatter: float
) -> tuple[list[dict[str, float]], list[tuple[str, str]]]:
    top = float(m.flops.max())
    budgets = [top * s for s in STEPS if top * s <= max(SHARE_OF_TARGET * target, top)]
    candidates = [
        (float(n), C / 6 / float(n))
        for C in budgets
        for n in best_size(coefficients, C) * np.geomspace(1 / WIDTH, WIDTH, N_SIZES)
    ]
    try:
        steps = next_runs(m.n_params, m.n_tokens, candidates, coefficients=coefficients,
                          target=target, scatter=scatter)  # fmt: skip
    except RefusalError as e:
        return [], [("cannot_shrink", str(e))]
    return [
        {"n_params": s.n_params, "n_tokens": s.n_tokens, "flops": s.flops,
         "interval_factor": s.after.interval_factor}
        for s in steps
    ], []  # fmt: skip
