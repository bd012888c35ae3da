"""Standard errors without resampling: the sandwich H^-1 (sum psi^2 J J^T) H^-1."""

from collections.abc import Callable

import numpy as np

from fitting.laws.protocol import Array
from fitting.objectives import robust_sd
from fitting.optimise import Problem

N_DRAWS = 1000
STEP = 1e-5


def sandwich(theta: Array, hessian: Array, problem: Problem) -> Array:
    """Covariance (P, P) of theta; directions the data do not fix get a huge variance.

    A robust objective's expected curvature is 2 f(0) / delta, f the density of the residuals; the
    few that happen to lie within delta estimate it badly, so it is smoothed.
    """
    f, J = problem.law.log_loss(theta[None], problem.x)
    goal, w = problem.objective, problem.weights
    delta = goal.stages()[-1]
    _, slope, _, _ = goal.terms(f, problem.y, delta, problem.censored)
    if goal.robust:
        hessian = (J[0] * (_density(f[0] - problem.y, delta) * w)) @ J[0].T
    meat = (J[0] * (slope * w) ** 2) @ J[0].T * len(w) / max(len(w) - theta.size, 1)
    free = np.flatnonzero(problem.bounds[0] < problem.bounds[1])
    block = np.ix_(free, free)
    values, vectors = np.linalg.eigh(((hessian + hessian.T) / 2)[block])
    inverse = (vectors / np.maximum(np.abs(values), 1e-10 * np.abs(values).max())) @ vectors.T
    out: Array = np.zeros(meat.shape)
    out[block] = inverse @ meat[block] @ inverse
    return out


def _density(r: Array, delta: float) -> Array:
    """Curvature per point: 1/(h delta) within the bandwidth h of zero (at least delta)."""
    h = max(delta, robust_sd(r) * len(r) ** -0.2, 1e-12)
    return np.asarray((np.abs(r) < h) / (h * delta))


def draws(theta: Array, hessian: Array, problem: Problem, *, seed: int, n: int = N_DRAWS) -> Array:
    """Normal draws (n, P) around theta, kept inside the bounds."""
    values, vectors = np.linalg.eigh(sandwich(theta, hessian, problem))
    root = vectors * np.sqrt(np.maximum(values, 0))
    noise = np.random.default_rng(seed).standard_normal((n, theta.size))
    return np.asarray(np.clip(theta + noise @ root.T, *problem.bounds))


def standard_errors(
    theta: Array,
    hessian: Array,
    problem: Problem,
    coefficients: Callable[[Array], dict[str, Array]],
) -> dict[str, float]:
    """Delta method: errors of any function of theta."""
    steps = STEP * np.eye(theta.size)
    high, low = (coefficients(theta + s * steps) for s in (1, -1))
    cov = sandwich(theta, hessian, problem)
    out = {}
    for name in high:
        slope = np.nan_to_num((high[name] - low[name]) / (2 * STEP))
        out[name] = float(np.sqrt(np.maximum(slope @ cov @ slope, 0)))
    return out
