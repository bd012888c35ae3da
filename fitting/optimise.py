"""The one optimiser: damped Newton on many problems at once, with a record of how it went.

Rows of `theta` are starts, or bootstrap resamples with their own weights or data. The step is

    (H + lambda M) s = -g

H the full Hessian, M the Gauss-Newton matrix of the quadratic that majorises the objective
(iteratively reweighted least squares): lambda = 1 always makes progress, lambda -> 0 is Newton.
Robust objectives are approached through wider deltas, each optimum starting the next.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fitting.laws.protocol import Array, Law, Points
from fitting.objectives import Objective

MAX_STEPS = 100
TOLERANCE = 1e-12  # expected decrease of the value, relative to it
CHUNK_VALUES = 40_000  # resamples x measurements worked on at once: stays in the cache
MAX_DAMPING = 1e10
FLAT = 1e-4  # relative projected gradient that still counts as an optimum
EXACT = 1e-11  # residuals of ln L below this are no scatter: rounding is 1e-15, times `FLAT` 1e-4


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What is minimised; `weights` and `y` may differ between rows of theta."""

    law: Law
    x: Points
    y: Array  # ln L, (R,) or (B, R)
    objective: Objective
    weights: Array  # (R,) or (B, R)
    bounds: Array  # (2, P)
    censored: NDArray[np.bool_] | None = None

    def rows(self, part: slice | NDArray[np.intp]) -> "Problem":
        """The problem of some rows of theta."""
        y = self.y[part] if self.y.ndim == 2 else self.y
        weights = self.weights[part] if self.weights.ndim == 2 else self.weights
        return replace(self, y=y, weights=weights)


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """B optima; the first axis is that of the starts."""

    theta: Array  # (B, P)
    value: Array  # (B,) summed, in units of the last delta
    gradient: Array  # (B,) projected gradient in the metric of M, relative to sqrt(value)
    converged: NDArray[np.bool_]  # (B,)
    at_bound: NDArray[np.bool_]  # (B, P)
    hessian: Array  # (B, P, P)
    n_steps: int


@dataclass(frozen=True, slots=True)
class _Local:
    """Value (B,), gradient (B, P), Hessian and majoriser (B, P, P) at one theta."""

    value: Array
    g: Array
    H: Array
    M: Array

    def put(self, index: NDArray[np.intp], other: "_Local", mask: NDArray[np.bool_]) -> None:
        for mine, new in ((self.value, other.value), (self.g, other.g), (self.H, other.H), (self.M, other.M)):  # fmt: skip
            mine[index[mask]] = new[mask]

    def at(self, index: NDArray[np.intp]) -> "_Local":
        return _Local(self.value[index], self.g[index], self.H[index], self.M[index])


def minimise(problem: Problem, theta: Array, *, warm: bool = False) -> Solution:
    """Minimise from every row of `theta` (B, P), in threads over chunks of rows.

    Args:
        problem: law, data, objective and bounds.
        theta: starts.
        warm: the starts are already near their optima; skip the wider deltas.
    """
    size = max(1, CHUNK_VALUES // len(problem.x.n))
    parts = [slice(i, i + size) for i in range(0, len(theta), size)]
    if len(parts) == 1:
        return _through_stages(problem, theta, warm=warm)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        jobs = [pool.submit(_through_stages, problem.rows(p), theta[p], warm=warm) for p in parts]
        done = [job.result() for job in jobs]
    return join(done)


def join(parts: Sequence[Solution]) -> Solution:
    """The rows of several solutions in one."""
    names = ("theta", "value", "gradient", "converged", "at_bound", "hessian")
    joined = {name: np.concatenate([getattr(s, name) for s in parts]) for name in names}
    return Solution(**joined, n_steps=max(s.n_steps for s in parts))


def _through_stages(problem: Problem, theta: Array, *, warm: bool) -> Solution:
    theta = np.clip(theta, *problem.bounds)
    stages = problem.objective.stages()
    for delta in stages[:-1] if not warm else stages[-2:-1] if len(stages) > 4 else ():
        theta = _newton(problem, theta, delta, max_steps=30).theta
    return _newton(problem, theta, stages[-1], max_steps=MAX_STEPS)


def _newton(problem: Problem, theta: Array, delta: float, *, max_steps: int) -> Solution:
    theta, here = theta.copy(), _evaluate(problem, theta, delta)
    damping = np.full(len(theta), 1e-2)
    active = np.arange(len(theta))
    n_steps = 0
    while active.size and n_steps < max_steps:
        n_steps += 1
        step, expected = _step(problem.bounds, theta[active], here.at(active), damping[active])
        going = expected > TOLERANCE * (here.value[active] + 1e-12)
        active, step = active[going], step[going]
        if not active.size:
            break
        trial = np.clip(theta[active] + step, *problem.bounds)
        there = _evaluate(problem.rows(active), trial, delta)
        better = there.value < here.value[active]
        theta[active[better]] = trial[better]
        here.put(active, there, better)
        damping[active] *= np.where(better, 0.2, 8.0)
        damping = np.maximum(damping, 1e-12)
        active = active[damping[active] < MAX_DAMPING]
    exact = max(1e-12, len(problem.x.n) * (EXACT / delta) ** 2)
    return _solution(problem.bounds, theta, here, n_steps, exact)


def _evaluate(problem: Problem, theta: Array, delta: float) -> _Local:
    f, J = problem.law.log_loss(theta, problem.x)
    value, slope, curve, weight = problem.objective.terms(f, problem.y, delta, problem.censored)
    w = problem.weights
    slope, JT = slope * w, J.swapaxes(1, 2)
    H = (J * (curve * w)[:, None, :]) @ JT + problem.law.curvature(theta, problem.x, slope)
    M = (J * (weight * w)[:, None, :]) @ JT
    g = (J @ slope[:, :, None])[:, :, 0]
    total = (value * w).sum(axis=1)
    finite = np.isfinite(total) & np.isfinite(g).all(axis=1) & np.isfinite(H).all(axis=(1, 2))
    return _Local(np.where(finite, total, np.inf), np.nan_to_num(g), np.nan_to_num(H), np.nan_to_num(M))  # fmt: skip


def _free(bounds: Array, theta: Array, g: Array) -> NDArray[np.bool_]:
    """Coordinates that are not held by a bound."""
    low, high = bounds
    held = ((theta <= low) & (g > 0)) | ((theta >= high) & (g < 0))
    return np.asarray(~held)


def _step(bounds: Array, theta: Array, at: _Local, damping: Array) -> tuple[Array, Array]:
    """The damped step (B, P) and the decrease (B,) that the undamped model expects of it."""
    free = _free(bounds, theta, at.g)
    g, H, M = np.where(free, at.g, 0), _masked(at.H, free), _masked(at.M, free)
    scale = np.sqrt(np.maximum(np.einsum("bpp->bp", M), 1e-12))  # (B, P)
    outer = scale[:, :, None] * scale[:, None, :]
    eye = np.eye(g.shape[1])
    A = H / outer + damping[:, None, None] * (M / outer + 1e-9 * eye)
    values, vectors = np.linalg.eigh(A)
    # A direction of negative curvature is walked downhill, as far as its curvature is strong.
    values = np.maximum(np.abs(values), 1e-12)
    turned = (vectors.swapaxes(1, 2) @ (g / scale)[:, :, None])[:, :, 0] / values
    step = -(vectors @ turned[:, :, None])[:, :, 0] / scale
    return np.where(free, step, 0), 0.5 * -(step * g).sum(axis=1)


def _masked(matrix: Array, free: NDArray[np.bool_]) -> Array:
    both = free[:, :, None] & free[:, None, :]
    return np.where(both, matrix, 0) + np.eye(matrix.shape[1]) * ~free[:, :, None]


def _solution(bounds: Array, theta: Array, here: _Local, n_steps: int, exact: float) -> Solution:
    """`exact`: value of a fit without scatter, whose gradient is that of rounding errors."""
    free = _free(bounds, theta, here.g)
    g = np.where(free, here.g, 0)
    M = _masked(here.M, free)
    size = np.einsum("bpp->b", M)  # beside one wild loss the others are rounding errors
    ridge = M + (1e-12 + 1e-14 * size)[:, None, None] * np.eye(g.shape[1])
    decrement = np.einsum("bp,bp->b", g, np.linalg.solve(ridge, g[:, :, None])[:, :, 0])
    relative = np.sqrt(np.maximum(decrement, 0) / (here.value + exact))
    low, high = bounds
    return Solution(
        theta=theta, value=here.value, gradient=relative, converged=relative < FLAT,
        at_bound=(theta <= low) | (theta >= high), hessian=here.H, n_steps=n_steps,
    )  # fmt: skip
