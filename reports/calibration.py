"""Predictions of held-out budgets with their 90 % intervals, against what was measured."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from fitting.calibration import Trial
from fitting.isoflop import Array
from reports import style


class Held(NamedTuple):
    """(T, 4): compute, error, lower and upper end of the interval, per cent of the measured loss."""

    table: Array
    n_seen: Array  # (T,) budgets seen
    n_held: int


def curves(trials: Sequence[Trial]) -> Held:
    """Sorted by compute."""
    rows = sorted(trials, key=lambda t: (t.flops, t.n_budgets_seen))
    table = [[t.flops, *(100 * np.log(np.array([t.predicted, t.low, t.high]) / t.loss))] for t in rows]  # fmt: skip
    return Held(np.array(table), np.array([t.n_budgets_seen for t in rows]), sum(t.held for t in rows))  # fmt: skip


def plot(found: Held, *, ax: Axes | None = None) -> Axes:
    """One bar per prediction, coloured by how many budgets it had seen."""
    ax = style.dress(ax) if ax is not None else style.axes()
    kinds = np.unique(found.n_seen)
    order = np.arange(len(found.table))
    for kind, color in zip(kinds, style.shades(len(kinds)), strict=True):
        at = order[found.n_seen == kind]
        _, error, low, high = found.table[at].T
        ax.errorbar(at, error, [error - low, high - error], color=color, fmt="o", ms=4, capsize=3,
                    lw=1.2, label=f"{kind} budgets seen")  # fmt: skip
    ax.axhline(0, color=style.INK, lw=0.8)
    ax.set_xticks(order, [style.power(c) for c in found.table[:, 0]], rotation=60, fontsize=8)
    ax.set(xlabel="Held-out budget (FLOP)", ylabel="Predicted over measured least loss (%)")
    n = len(found.table)
    ax.set_title(f"{found.n_held} of {n} within their 90 % interval", loc="left", fontsize=10)
    style.legend(ax)
    return ax
