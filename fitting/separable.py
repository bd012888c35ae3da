"""Least squares where most coefficients enter linearly: search only the others.

For each value of the nonlinear ones the linear ones are a linear least-squares problem (variable
projection, Golub and Pereyra 1973), so a coarse grid and a simplex find the optimum without starts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import minimize

from fitting.measurements import Array

Basis = Callable[[Array], Array]  # nonlinear (Q,) -> columns (R, P)


@dataclass(frozen=True, kw_only=True, slots=True)
class Separated:
    """The optimum; `residuals` are observed - fitted."""

    nonlinear: Array
    linear: Array
    residuals: Array


def fit_separable(basis: Basis, y: Array, grids: Sequence[Sequence[float]]) -> Separated:
    """Minimise |y - basis(q) c|^2 over q and c.

    Args:
        basis: columns for nonlinear coefficients q; each grid's values are natural for its q.
        y: (R,) observed.
        grids: candidate values of each q; the search goes on from the best combination.
    """
    candidates = [np.array(q, float) for q in product(*grids)]
    best = min(candidates, key=lambda q: _rss(q, basis, y))
    steps = [max(abs(float(np.ptp(g))) / max(len(g), 2), 1e-3) for g in grids]
    simplex = np.vstack([best, best + np.diag(steps)])
    options: Any = {"initial_simplex": simplex, "xatol": 1e-10, "fatol": 1e-16, "maxiter": 2000}
    found = minimize(_of(basis, y), best.tolist(), method="Nelder-Mead", options=options)
    q = np.asarray(found.x, float)
    c, residuals = _project(q, basis, y)
    return Separated(nonlinear=q, linear=c, residuals=residuals)


def _of(basis: Basis, y: Array) -> Callable[[Array], float]:
    return lambda q: _rss(q, basis, y)


def _project(q: Array, basis: Basis, y: Array) -> tuple[Array, Array]:
    X = basis(q)
    c = np.linalg.lstsq(X, y, rcond=None)[0]
    return np.asarray(c, float), y - X @ c


def _rss(q: Array, basis: Basis, y: Array) -> float:
    X = basis(np.asarray(q, float))
    if not np.isfinite(X).all():
        return float("inf")
    c = np.linalg.lstsq(X, y, rcond=None)[0]
    return float(np.sum((y - X @ c) ** 2))
