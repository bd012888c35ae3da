"""Loss against size, one curve per budget, with approach 2's minima."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from fitting.isoflop import Array, IsoFlop, budgets
from fitting.measurements import Measurements
from reports import style

N_DRAWN = 100


class Curve(NamedTuple):
    """One budget."""

    flops: float
    measured: Array  # (R, 2) N [params], L
    fitted: Array  # (100, 2)
    minimum: tuple[float, float] | None  # N, L; None where it does not count
    reason: str


def curves(m: Measurements, found: IsoFlop) -> list[Curve]:
    """Smallest budget first."""
    result = []
    for budget, q in zip(budgets(m), found.minima, strict=True):
        rows = budget.rows[np.argsort(m.n_params[budget.rows])]
        measured = np.column_stack([m.n_params[rows], m.loss[rows]])
        z = np.linspace(np.log(measured[0, 0]) - 0.2, np.log(measured[-1, 0]) + 0.2, N_DRAWN)
        loss = np.polynomial.polynomial.polyval(z - q.centre, q.coefficients)
        least = None if q.reason else (q.n_params, q.loss)
        result.append(Curve(q.flops, measured, np.column_stack([np.exp(z), loss]), least, q.reason))
    return result


def plot(found: Sequence[Curve], *, unit: str = "nats/token", ax: Axes | None = None) -> Axes:
    """Draw on `ax`, or on a new figure."""
    ax = style.dress(ax) if ax is not None else style.axes()
    for curve, color in zip(found, style.shades(len(found)), strict=True):
        ax.plot(*curve.fitted.T, color=color, lw=1.2, ls="-" if curve.minimum else ":")
        ax.plot(*curve.measured.T, color=color, label=style.power(curve.flops), **style.POINT)
        if curve.minimum:
            ax.plot(*curve.minimum, color=color, **style.STAR)
    minima = np.array([c.minimum for c in found if c.minimum])
    if len(minima) > 1:
        ax.plot(*minima.T, color=style.INK, lw=0.8, ls="--", zorder=1)
    low = min(c.measured[:, 1].min() for c in found)
    high = max(c.measured[:, 1].max() for c in found)
    ax.set_ylim(low - 0.08 * (high - low), high + 0.1 * (high - low))
    style.counts(ax, "x")
    ax.set(xlabel="Parameters N", ylabel=f"Validation loss ({unit})")
    if any(c.reason for c in found):
        ax.set_title("dotted: no minimum inside the sizes", loc="right", fontsize=8)
    style.legend(ax, "Compute (FLOP)", ncols=1 + len(found) // 7)
    return ax
