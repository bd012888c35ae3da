"""N*(C) and D*(C) of every approach, with the band of the trusted one and the final run."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fitting.analysis import Analysis
from fitting.approaches import TITLES
from fitting.bootstrap import interval
from fitting.isoflop import Array
from reports import style

BEYOND = 10.0
N_DRAWN = 40


class Allocation(NamedTuple):
    """Arrays over a grid of C [FLOP]."""

    grid: Array  # (K,)
    sizes: dict[str, Array]  # (K,) N*
    low: Array  # (K,) 90 % of N*
    high: Array
    trusted: str
    minima: Array  # (M, 2) C, N of the parabolas
    final: tuple[float, float] | None  # C, N


def curves(a: Analysis, *, target: float | None = None, final: tuple[float, float] | None = None) -> Allocation:  # fmt: skip
    """From an analysis; `final` is (C, N) of a final run."""
    m = a.measurements
    top = max(float(m.flops.max()) * BEYOND, 2 * (target or 0))
    grid = np.geomspace(float(m.flops.min()), top, N_DRAWN)
    sizes = {str(k): np.exp([x.optimum(c)[0] for c in grid]) for k, x in a.approaches.items()}
    band = np.exp([interval(a.samples(c)[0]) for c in grid])
    two = a.approaches.get("parabola")
    minima = [(q.flops, q.n_params) for q in two.curves.minima if not q.reason] if two and two.curves else []  # fmt: skip
    return Allocation(grid=grid, sizes=sizes, low=band[:, 0], high=band[:, 1], trusted=a.trusted,
                      minima=np.array(minima).reshape(-1, 2), final=final)  # fmt: skip


def plot(found: Allocation, *, ax: tuple[Axes, Axes] | None = None) -> tuple[Axes, Axes]:
    """Draw N* and D* side by side."""
    left, right = ax or Figure(figsize=(9, 4), layout="constrained").subplots(1, 2)
    for panel, tokens in ((style.dress(left), False), (style.dress(right), True)):
        _panel(panel, found, tokens=tokens)
    style.legend(left)
    return left, right


def _panel(ax: Axes, found: Allocation, *, tokens: bool) -> None:
    def shown(C: Array, N: Array) -> Array:
        return C / (6 * N) if tokens else N

    color = style.APPROACH[found.trusted]
    edges = shown(found.grid, found.low), shown(found.grid, found.high)
    ax.fill_between(found.grid, *edges, color=color, alpha=0.15, lw=0)
    for name, sizes in found.sizes.items():
        trusted = name == found.trusted
        ax.plot(found.grid, shown(found.grid, sizes), color=style.APPROACH[name],
                lw=2.2 if trusted else 1.1, ls="-" if trusted else "--",
                label=f"{TITLES[name]}{' (trusted)' if trusted else ''}")  # fmt: skip
    if len(found.minima):
        C, N = found.minima.T
        ax.plot(C, shown(C, N), color=style.INK, label="minima of parabolas", **style.POINT)
    if found.final:
        C1, N1 = (np.array([v]) for v in found.final)
        ax.plot(C1, shown(C1, N1), color=style.GREEN, label="final run", **style.STAR)
    ax.set_yscale("log")
    ax.set_xscale("log")
    style.flops(ax)
    style.counts(ax, "y")
    ax.set(xlabel="Compute C (FLOP)", ylabel="Optimal tokens D*" if tokens else "Optimal parameters N*")  # fmt: skip
