"""Curvature and optimum for laws that have no closed form; a law's methods call these."""

import numpy as np

from fitting.laws.protocol import Array, Law, Points

STEP = 1e-5
N_GRID = 801
REACH = np.log(1e6)  # N* is searched within this of sqrt(C/6), on both sides


def numeric_curvature(law: Law, theta: Array, x: Points, slope: Array) -> Array:
    """`Law.curvature` by central differences of the Jacobian: smooth, because `slope` is frozen."""
    columns = []
    for p in range(theta.shape[1]):
        step = np.zeros(theta.shape[1])
        step[p] = STEP
        high, low = (law.log_loss(theta + s, x)[1] for s in (step, -step))
        columns.append(((high - low) @ slope[:, :, None])[:, :, 0] / (2 * STEP))
    H = np.stack(columns, axis=2)
    return np.asarray((H + H.swapaxes(1, 2)) / 2)


def numeric_log_optimum(law: Law, theta: Array, flops: Array) -> Array:
    """`Law.log_optimum` on a grid of ln N, refined by a parabola; NaN on the grid's rim."""
    columns = []
    for log_nd in np.log(np.asarray(flops, float) / 6):
        n = np.linspace(log_nd / 2 - REACH, log_nd / 2 + REACH, N_GRID)
        columns.append(minimum_along(law, theta, n, log_nd - n))
    return np.stack(columns, axis=1)


def minimum_along(law: Law, theta: Array, n: Array, d: Array, u: Array | None = None) -> Array:
    """ln N (B,) of the least loss along a path of even ln N and any ln D; NaN on its rim."""
    f, _ = law.log_loss(theta, Points(n=n, d=d, u=d if u is None else u))
    k = np.clip(f.argmin(axis=1), 1, len(n) - 2)
    rows = np.arange(len(theta))
    left, mid, right = (f[rows, k + i] for i in (-1, 0, 1))
    bend = left - 2 * mid + right
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(bend > 0, 0.5 * (left - right) / bend, 0.0)
    inside = (mid <= left) & (mid <= right)
    return np.where(inside, n[k] + shift * (n[1] - n[0]), np.nan)
