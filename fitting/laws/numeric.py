"""Curvature and optimum for laws that have no closed form; a law's methods call these."""

import numpy as np

from fitting.laws.protocol import Array, Law, Points

STEP = 1e-5
N_GRID = 801
USUAL_RATIO = 20.0  # tokens per parameter
ROUNDING = 1e-12  # of ln L; smaller bends, on a plateau, are no minima
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
    """`Law.log_optimum` on a grid of ln N, refined by a parabola; NaN without a minimum inside.

    Of several the one nearest to `USUAL_RATIO`, where all that is measured lies: laws with many
    coefficients may fall again, below their optimum, a millionfold from any data.
    """
    columns = []
    for log_nd in np.log(np.asarray(flops, float) / 6):
        n = np.linspace(log_nd / 2 - REACH, log_nd / 2 + REACH, N_GRID)
        usual = (log_nd - np.log(USUAL_RATIO)) / 2
        columns.append(minimum_along(law, theta, n, log_nd - n, near=usual))
    return np.stack(columns, axis=1)


def minimum_along(
    law: Law, theta: Array, n: Array, d: Array, u: Array | None = None, *, near: float
) -> Array:
    """ln N (B,) of the local minimum nearest to ln N = `near` on a path of even ln N and any ln D.

    NaN where the loss falls towards an end of the path throughout.
    """
    f, _ = law.log_loss(theta, Points(n=n, d=d, u=d if u is None else u))
    left, mid, right = f[:, :-2], f[:, 1:-1], f[:, 2:]
    bend = left - 2 * mid + right
    is_minimum = (mid <= left) & (mid <= right) & (bend > ROUNDING)
    distance = np.where(is_minimum, np.abs(n[1:-1] - near), np.inf)
    k, rows = distance.argmin(axis=1), np.arange(len(theta))
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = 0.5 * (left - right)[rows, k] / bend[rows, k]
    return np.where(is_minimum[rows, k], n[1 + k] + shift * (n[1] - n[0]), np.nan)
