"""Ridges and other basins: what a single optimum does not tell.

The profile of a coefficient is the best objective with it held; an interval is where it rises by
less than chi-squared allows. A coefficient whose interval runs to the end of the grid is not
identified: its estimate is a point on a ridge.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fitting.errors import InputError
from fitting.laws.protocol import Array
from fitting.laws.registry import law_named
from fitting.measurements import Measurements
from fitting.objectives import Objective, robust_sd
from fitting.optimise import Problem, minimise
from fitting.search import pose

CHI2_90 = 2.7055  # of one degree of freedom
N_STARTS = 6  # per grid point, besides the neighbours'
SAME = 1e-4  # relative difference in value that separates basins


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """`rise` is the likelihood-ratio statistic; the interval is where it is below `CHI2_90`."""

    name: str
    grid: Array  # (K,) of the coefficient
    value: Array  # (K,) objective, in its published scale
    rise: Array  # (K,)
    interval: tuple[float, float]
    identified: bool

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "grid": self.grid.tolist(), "objective": self.value.tolist(),
                "rise": self.rise.tolist(), "interval": list(self.interval),
                "identified": self.identified}  # fmt: skip


def profile(
    m: Measurements, name: str, grid: Array, *, law: str = "chinchilla",
    objective: Objective | None = None, fixed: Mapping[str, float] | None = None,
) -> Profile:  # fmt: skip
    """Profile of one coefficient over `grid`.

    Args:
        m: measurements.
        name: a coefficient that is a parameter on its own (E, an exponent, R_D, R_N, ...).
        grid: (K,) increasing values.
        law, objective, fixed: as in `fitting.fit`.

    Raises:
        InputError: an unknown or unsuitable coefficient.
    """
    chosen, goal = law_named(law), objective or Objective()
    problem, starts = pose(m, chosen, goal, fixed=fixed)
    if name not in chosen.names or name in (fixed or {}):
        raise InputError(f"{name} is not a free coefficient of the {law} law", field="name")
    column = chosen.names.index(name)
    pins = _column(problem, name, grid)
    warm = minimise(problem, starts[:N_STARTS])
    values = np.array([_best(problem, warm.theta, column, pin) for pin in pins])
    least = min(float(values.min()), float(warm.value.min()))
    rise = 2 * _unit(problem, warm.theta[warm.value.argmin()]) * (values - least)
    inside = np.flatnonzero(rise <= CHI2_90)
    ends = (int(inside[0]), int(inside[-1])) if inside.size else (0, len(grid) - 1)
    return Profile(
        name=name, grid=grid, value=values * goal.reported(1.0, len(m)), rise=rise,
        interval=(float(grid[ends[0]]), float(grid[ends[1]])),
        identified=bool(inside.size and ends[0] > 0 and ends[1] < len(grid) - 1),
    )  # fmt: skip


def basins(
    m: Measurements, *, law: str = "chinchilla", objective: Objective | None = None,
    fixed: Mapping[str, float] | None = None, n_starts: int = 300,
) -> list[dict[str, Any]]:  # fmt: skip
    """Distinct local minima, best first: value, coefficients, and how many starts end there.

    From many starts straight at the final delta; the fit itself approaches it through wider ones,
    which step over shallow basins.
    """
    chosen, goal = law_named(law), objective or Objective()
    problem, starts = pose(m, chosen, goal, fixed=fixed)
    found = minimise(problem, starts[:n_starts], warm=True)
    out: list[dict[str, Any]] = []
    for k in np.argsort(found.value):
        if not found.converged[k]:
            continue
        value = float(found.value[k])
        if out and value <= out[-1]["_value"] * (1 + SAME):
            out[-1]["n_starts"] += 1
            continue
        c = chosen.coefficients(found.theta[k : k + 1], problem.x.centre)
        out.append({"_value": value, "objective_value": goal.reported(value, len(m)), "n_starts": 1,
                    "coefficients": {n: float(v[0]) for n, v in c.items()}})  # fmt: skip
    return [{k: v for k, v in row.items() if k != "_value"} for row in out]


def _column(problem: Problem, name: str, grid: Array) -> Array:
    """The parameter that carries the coefficient, at every grid value."""
    law = problem.law
    values = {n: np.full(len(grid), np.nan) for n in law.names} | {name: np.asarray(grid, float)}
    pins = law.theta(values, problem.x.centre)[:, law.names.index(name)]
    if not np.isfinite(pins).all():
        raise InputError(f"{name} has no profile of its own; profile its exponent", field="name")
    return pins


def _best(problem: Problem, starts: Array, column: int, pin: float) -> float:
    bounds = problem.bounds.copy()
    bounds[:, column] = pin
    held = minimise(replace(problem, bounds=bounds), np.clip(starts, *bounds))
    return float(held.value.min())


def _unit(problem: Problem, theta: Array) -> float:
    """E[psi'] / E[psi^2]: turns a rise of the objective into half a chi-squared."""
    f, _ = problem.law.log_loss(theta[None], problem.x)
    delta = problem.objective.stages()[-1]
    _, slope, curve, _ = problem.objective.terms(f, problem.y, delta, problem.censored)
    bend = float(curve.mean())
    if problem.objective.robust:
        r = f[0] - problem.y
        h = max(delta, robust_sd(r) * len(r) ** -0.2)
        bend = float((np.abs(r) < h).mean() / (h * delta))
    return bend / float(np.mean(slope**2))
