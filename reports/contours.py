"""The fitted surface L(N, D): contours, the runs, budgets, and the ridge of optima."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from fitting.fitted import Fit
from fitting.isoflop import Array
from fitting.measurements import Measurements
from reports import style

N_DRAWN = 80
MARGIN = 3.0  # around the runs, and the factor beyond them in both directions


class Surface(NamedTuple):
    """N (K,), D (K,), loss (K, K) with rows of D; the ridge (J, 2); the runs (R, 3) N, D, L."""

    N: Array
    D: Array
    loss: Array
    ridge: Array
    runs: Array


def curves(fitted: Fit, m: Measurements) -> Surface:
    """The surface around the measured runs and a little beyond."""
    N = np.geomspace(m.n_params.min() / MARGIN, m.n_params.max() * MARGIN, N_DRAWN)
    D = np.geomspace(m.n_tokens.min() / MARGIN, m.n_tokens.max() * MARGIN, N_DRAWN)
    grid_n, grid_d = np.meshgrid(N, D)
    C = np.geomspace(6 * N[0] * D[0], 6 * N[-1] * D[-1], N_DRAWN)
    best_n, best_d = fitted.optimum(C)
    inside = (best_n > N[0]) & (best_n < N[-1]) & (best_d > D[0]) & (best_d < D[-1])
    return Surface(
        N=N, D=D, loss=fitted.predict(grid_n, grid_d),
        ridge=np.column_stack([best_n, best_d])[inside],
        runs=np.column_stack([m.n_params, m.n_tokens, m.loss]),
    )  # fmt: skip


def plot(found: Surface, *, unit: str = "nats/token", ax: Axes | None = None) -> Axes:
    """Draw on `ax`, or on a new figure."""
    ax = style.dress(ax) if ax is not None else style.axes()
    low, high = found.runs[:, 2].min(), found.runs[:, 2].max()
    levels = np.geomspace(max(found.loss.min(), low * 0.9), high * 1.05, 12)
    lines = ax.contour(found.N, found.D, found.loss, levels=levels, cmap="viridis", linewidths=1)
    ax.clabel(lines, list(lines.levels)[::2], fmt="%.3g", fontsize=7)
    ax.plot(found.runs[:, 0], found.runs[:, 1], color=style.GREY, label="runs", **style.POINT)
    if len(found.ridge):
        ax.plot(*found.ridge.T, color=style.RED, lw=2, label="optimum for each compute")
    style.counts(ax, "x")
    style.counts(ax, "y")
    ax.set(xlabel="Parameters N", ylabel="Training tokens D", title=f"Loss ({unit})")
    ax.title.set_fontsize(10)
    style.legend(ax, loc="lower right")

    return ax
