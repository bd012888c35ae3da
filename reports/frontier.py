"""Loss against compute: every run, the frontier of every approach, and where it was asked for."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from fitting.analysis import Analysis
from fitting.approaches import TITLES
from fitting.bootstrap import interval
from fitting.isoflop import Array
from reports import style

BEYOND = 10.0  # times the largest compute
N_DRAWN = 60


class Frontier(NamedTuple):
    """Arrays over a grid of C [FLOP]."""

    runs: Array  # (R, 3) C, L, N
    grid: Array  # (K,)
    approaches: dict[str, Array]  # (K,) L*
    low: Array  # (K,) 90 % of the trusted one
    high: Array
    trusted: str
    outcome: tuple[float, float] | None  # C, L of the final run
    prediction: tuple[float, float, float, float] | None  # C, L, low, high


def curves(
    a: Analysis, *, target: float | None = None, outcome: tuple[float, float] | None = None
) -> Frontier:
    """From an analysis; `outcome` is (C, L) of a final run."""
    m = a.measurements
    top = max(float(m.flops.max()) * BEYOND, 2 * (target or 0))
    grid = np.geomspace(float(m.flops.min()), top, N_DRAWN)
    lines = {str(k): np.exp([x.optimum(c)[1] for c in grid]) for k, x in a.approaches.items()}
    band = np.exp([interval(a.approaches[a.trusted].samples(c)[1]) for c in grid])
    r = a.recommend(target) if target else None
    return Frontier(
        runs=np.column_stack([m.flops, m.loss, m.n_params]), grid=grid, approaches=lines,
        low=band[:, 0], high=band[:, 1], trusted=a.trusted, outcome=outcome,
        prediction=(r.flops, r.loss.value, r.loss.low, r.loss.high) if r else None,
    )  # fmt: skip


def plot(found: Frontier, *, unit: str = "nats/token", ax: Axes | None = None) -> Axes:
    """Draw on `ax`, or on a new figure."""
    ax = style.dress(ax) if ax is not None else style.axes()
    ax.plot(*found.runs[:, :2].T, color=style.GREY, alpha=0.6, label="runs", **style.POINT)
    color = style.APPROACH[found.trusted]
    ax.fill_between(found.grid, found.low, found.high, color=color, alpha=0.15, lw=0)
    for name, loss in found.approaches.items():
        trusted = name == found.trusted
        label = f"{TITLES[name]}{' (trusted)' if trusted else ''}"
        ax.plot(found.grid, loss, color=style.APPROACH[name], lw=2.2 if trusted else 1.1,
                ls="-" if trusted else "--", label=label)  # fmt: skip
    _target(ax, found)
    style.loss_over_compute(ax, found.grid, found.runs[:, 0].max(), unit=unit, beyond="the sweep")
    return ax


def _target(ax: Axes, found: Frontier) -> None:
    if found.prediction:
        C, L, low, high = found.prediction
        ax.errorbar([C], [L], [[L - low], [high - L]], color=style.INK, capsize=4, fmt="s", ms=5,
                    label="forecast, 90 %", zorder=4)  # fmt: skip
    if found.outcome:
        ax.plot(*found.outcome, color=style.GREEN, label="final run", **style.STAR)
