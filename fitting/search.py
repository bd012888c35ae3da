"""The best optimum over data-driven starts, and the record of the search."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitting.errors import InputError
from fitting.laws.protocol import Array, Centre, Law, Points
from fitting.measurements import Measurements
from fitting.objectives import Objective
from fitting.optimise import Problem, Solution, join, minimise

N_POLISHED = 16  # starts that are optimised; the others are only ranked
N_STRAIGHT = 6  # of them also without the wider deltas
SAME_OPTIMUM = 1e-6  # relative difference in value
RUN_SCATTER = 2e-3  # of ln L between seeds


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """One fit's problem and its best solution."""

    problem: Problem
    found: Solution  # all polished starts
    best: int
    n_ranked: int

    @property
    def theta(self) -> Array:
        return np.asarray(self.found.theta[self.best])


def pose(
    m: Measurements, law: Law, goal: Objective, *, weights: Array | None = None,
    fixed: Mapping[str, float] | None = None,
) -> tuple[Problem, Array]:  # fmt: skip
    """What is to be minimised, and its starts (S, P), best first; `fixed` coefficients are pinned."""
    x, y = Points.of(m), np.log(m.loss)
    w = measurement_weights(m) if weights is None else np.asarray(weights, float)
    bounds = pinned(law, law.bounds(x, y), x.centre, fixed or {})
    problem = Problem(
        law=law, x=x, y=y, objective=goal, weights=w, bounds=bounds, censored=m.censored
    )
    starts = np.unique(np.clip(law.starts(x, y), *bounds), axis=0)
    return problem, starts[_rank(problem, starts)]


def solve(
    m: Measurements, law: Law, goal: Objective, *, weights: Array | None = None,
    fixed: Mapping[str, float] | None = None,
) -> Search:  # fmt: skip
    """The best optimum over data-driven starts, and all the others for the record."""
    problem, starts = pose(m, law, goal, weights=weights, fixed=fixed)
    few = starts[:N_POLISHED]
    # Through wider deltas to step over shallow basins, and straight, for what these step over too.
    found = join([minimise(problem, few), minimise(problem, few[:N_STRAIGHT], warm=True)])
    return Search(
        problem=problem, found=found, best=int(found.value.argmin()), n_ranked=len(starts)
    )


def pinned(law: Law, bounds: Array, centre: Centre, fixed: Mapping[str, float]) -> Array:
    """Bounds whose fixed coefficients have no room left.

    Raises:
        InputError: an unknown name, or one whose partner is free (A needs alpha, B beta).
    """
    if unknown := [n for n in fixed if n not in law.names]:
        raise InputError(f"{law.name} has no coefficient {unknown[0]}; it has {', '.join(law.names)}", field="fixed")  # fmt: skip
    values = {n: np.array([fixed.get(n, np.nan)], float) for n in law.names}
    theta = law.theta(values, centre)[0]
    columns = [law.names.index(n) for n in fixed]
    if alone := [law.names[i] for i in columns if not np.isfinite(theta[i])]:
        raise InputError(f"{alone[0]} can only be fixed together with its exponent", field="fixed")
    out = bounds.copy()
    out[:, columns] = theta[columns]
    return out


def measurement_weights(m: Measurements) -> Array:
    """1 where no evaluation error is known, else var / (var + se^2) with var the fit's own scatter.

    Evaluation error only matters where it exceeds the scatter of runs, about .2 %.
    """
    if m.loss_se is None:
        return np.ones(len(m))
    relative = m.loss_se / m.loss
    return np.asarray(RUN_SCATTER**2 / (RUN_SCATTER**2 + relative**2))


def _rank(problem: Problem, starts: Array) -> NDArray[np.intp]:
    """Starts from the best to the worst, by the widest delta, on at most 500 measurements."""
    take = np.linspace(0, len(problem.x.n) - 1, min(len(problem.x.n), 500)).astype(int)
    x, y = problem.x.rows(take), problem.y[take]
    censored = None if problem.censored is None else problem.censored[take]
    values = []
    for part in np.array_split(starts, max(1, len(starts) // 100)):
        f = problem.law.log_loss(part, x)[0]
        terms = problem.objective.terms(f, y, problem.objective.stages()[0], censored)
        values.append((terms[0] * problem.weights[take]).sum(axis=1))
    return np.argsort(np.nan_to_num(np.concatenate(values), nan=np.inf), kind="stable")


def diagnostics(s: Search) -> dict[str, Any]:
    """How much the optimum can be relied on as a minimum."""
    best, value = s.best, s.found.value
    scale = s.problem.objective.reported(1.0, len(s.problem.x.n))
    near = value <= value[best] * (1 + SAME_OPTIMUM) + 1e-12
    others = value[~near & s.found.converged]
    names = s.problem.law.names
    pins = s.problem.bounds[0] == s.problem.bounds[1]
    hit = s.found.at_bound[best] & ~pins
    return {
        "converged": bool(s.found.converged[best]),
        "gradient_norm": float(s.found.gradient[best]),
        "n_starts": len(value),
        "n_starts_ranked": s.n_ranked,
        "n_starts_agreeing": int(near.sum()),
        "second_best_value": float(others.min() * scale) if others.size else None,
        "bounds_hit": [n for n, b in zip(names, hit, strict=True) if b],
        "fixed": [n for n, b in zip(names, pins, strict=True) if b],
        "n_steps": s.found.n_steps,
    }
