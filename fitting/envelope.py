"""Approach 1: for each compute the size whose loss curve is lowest there, then a power law.

A curve is the losses of one size against C, interpolated in logs; what is measured at several
horizons of one run (decayed branches) is exactly that. Source: Hoffmann et al. 2022,
arXiv:2203.15556, sec. 3.1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitting.errors import RefusalError
from fitting.isoflop import Array, PowerLaw, line
from fitting.measurements import Measurements

N_GRID = 60  # computes at which the envelope is read
MIN_HORIZONS = 3  # per size
MIN_SIZES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """Approach 1's answer."""

    flops: Array  # (K,) where the lowest size is neither the smallest nor the largest
    n_params: Array  # (K,)
    loss: Array  # (K,)
    size: PowerLaw
    frontier: PowerLaw


def envelope(m: Measurements, *, y: Array | None = None) -> Envelope:
    """Fit approach 1.

    Args:
        m: measurements with at least three sizes that have three horizons each.
        y: (R,) ln L to use instead of the measured.

    Raises:
        RefusalError: `too_few_curves`, or `no_envelope` where one size wins everywhere.
    """
    log_l = np.log(m.loss) if y is None else y
    sizes, curves = _curves(m, log_l)
    if len(curves) < MIN_SIZES:
        raise RefusalError(
            f"approach 1 needs {MIN_SIZES} sizes with {MIN_HORIZONS} horizons each; "
            f"{len(curves)} sizes have them",
            code="too_few_curves",
        )
    grid, table = _table(curves)
    lowest = table.argmin(axis=0)
    inside = (lowest > 0) & (lowest < len(sizes) - 1) & np.isfinite(table.min(axis=0))
    crossing = _balanced(table, lowest, inside)
    if len(np.unique(lowest[crossing])) < 2:
        raise RefusalError(
            "approach 1 needs at least two inner sizes that are best somewhere; "
            f"{len(np.unique(lowest[crossing]))} is",
            code="no_envelope",
        )
    C, N, L = grid[crossing], sizes[lowest[crossing]], table.min(axis=0)[crossing]
    return Envelope(
        flops=np.exp(C), n_params=N, loss=np.exp(L), size=line(C, np.log(N)), frontier=line(C, L)
    )


def _curves(m: Measurements, log_l: Array) -> tuple[Array, list[tuple[Array, Array]]]:
    """Sizes, and for each (ln C, ln L) sorted by C; repeated horizons are averaged."""
    log_n = np.round(np.log(m.n_params), 3)
    sizes: list[float] = []
    curves: list[tuple[Array, Array]] = []
    for value in np.unique(log_n):
        rows = np.flatnonzero(log_n == value)
        C, where = np.unique(np.round(np.log(m.flops[rows]), 6), return_inverse=True)
        if len(C) >= MIN_HORIZONS:
            curves.append(
                (np.asarray(C, float), np.bincount(where, log_l[rows]) / np.bincount(where))
            )
            sizes.append(float(m.n_params[rows].mean()))
    return np.array(sizes), curves


def _table(curves: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """ln L (S, K) on a grid of ln C; infinite outside what a size was trained for."""
    grid = np.linspace(min(c[0] for c, _ in curves), max(c[-1] for c, _ in curves), N_GRID)
    rows = [np.interp(grid, c, v, left=np.inf, right=np.inf) for c, v in curves]
    return grid, np.stack(rows)


def _balanced(table: Array, lowest: Array, inside: Array) -> NDArray[np.intp]:
    """Computes where both neighbours of the lowest size were measured too."""
    found = []
    for k in np.flatnonzero(inside):
        s = int(lowest[k])
        if np.isfinite(table[s - 1, k]) and np.isfinite(table[s + 1, k]):
            found.append(k)
    return np.array(found, int)
