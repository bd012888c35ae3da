"""Standard errors without resampling: the sandwich H^-1 (sum s s^T) H^-1.

s is the score psi J of a measurement, or its sum over the measurements of one run: they err
together, and counted one by one they understate the errors severalfold.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fitting.laws.protocol import Array
from fitting.objectives import robust_sd
from fitting.optimise import Problem

N_DRAWS = 1000
STEP = 1e-5


def sandwich(
    theta: Array, hessian: Array, problem: Problem, clusters: NDArray[np.str_] | None = None
) -> Array:
    """Covariance (P, P) of theta; directions the data do not fix get a huge variance.

    `clusters` (R,) says which run a measurement belongs to; None: independent.

    A robust objective's expected curvature is 2 f(0) / delta, f the density of the residuals; the
    few that happen to lie within delta estimate it badly, so it is smoothed.
    """
    f, J = problem.law.log_loss(theta[None], problem.x)
    goal, w = problem.objective, problem.weights
    delta = goal.stages()[-1]
    _, slope, _, _ = goal.terms(f, problem.y, delta, problem.censored)
    if goal.robust:
        hessian = (J[0] * (_density(f[0] - problem.y, delta) * w)) @ J[0].T
    meat = _meat(J[0] * (slope * w), clusters)
    free = np.flatnonzero(problem.bounds[0] < problem.bounds[1])
    block = np.ix_(free, free)
    values, vectors = np.linalg.eigh(((hessian + hessian.T) / 2)[block])
    inverse = (vectors / np.maximum(np.abs(values), 1e-10 * np.abs(values).max())) @ vectors.T
    out: Array = np.zeros(meat.shape)
    out[block] = inverse @ meat[block] @ inverse
    return out


def _meat(scores: Array, clusters: NDArray[np.str_] | None) -> Array:
    """Sum of s s^T over runs, for scores (P, R), with the usual small-sample factor.

    G/(G-1) (R-1)/(R-P) (CR1: Cameron and Miller 2015, Journal of Human Resources 50(2), eq. 12),
    which is R/(R-P) where every measurement is a run of its own.
    """
    n_params, n = scores.shape
    if clusters is not None:
        labels = np.unique(clusters, return_inverse=True)[1]
        scores = np.stack([np.bincount(labels, weights=s) for s in scores])
    n_runs = scores.shape[1]
    factor = n_runs / max(n_runs - 1, 1) * (n - 1) / max(n - n_params, 1)
    return np.asarray(scores @ scores.T * factor)


def _density(r: Array, delta: float) -> Array:
    """Curvature per point: 1/(h delta) within the bandwidth h of zero (at least delta)."""
    h = max(delta, robust_sd(r) * len(r) ** -0.2, 1e-12)
    return np.asarray((np.abs(r) < h) / (h * delta))


def draws(
    theta: Array, hessian: Array, problem: Problem, *, seed: int, n: int = N_DRAWS,
    clusters: NDArray[np.str_] | None = None,
) -> Array:  # fmt: skip
    """Normal draws (n, P) around theta, kept inside the bounds."""
    values, vectors = np.linalg.eigh(sandwich(theta, hessian, problem, clusters))
    root = vectors * np.sqrt(np.maximum(values, 0))
    noise = np.random.default_rng(seed).standard_normal((n, theta.size))
    return np.asarray(np.clip(theta + noise @ root.T, *problem.bounds))


def standard_errors(
    theta: Array,
    hessian: Array,
    problem: Problem,
    coefficients: Callable[[Array], dict[str, Array]],
    clusters: NDArray[np.str_] | None = None,
) -> dict[str, float]:
    """Delta method: errors of any function of theta."""
    steps = STEP * np.eye(theta.size)
    high, low = (coefficients(theta + s * steps) for s in (1, -1))
    cov = sandwich(theta, hessian, problem, clusters)
    out = {}
    for name in high:
        slope = np.nan_to_num((high[name] - low[name]) / (2 * STEP))
        out[name] = float(np.sqrt(np.maximum(slope @ cov @ slope, 0)))
    return out
