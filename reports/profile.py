"""Profile of one coefficient: a bowl is identified, a trough that runs off the axis is a ridge."""

import numpy as np
from matplotlib.axes import Axes

from fitting.profile import CHI2_90, Profile
from reports import style

LOG_RATIO = 30.0  # a grid wider than this is drawn on a log axis


def curves(found: Profile) -> Profile:
    """Already computed by `fitting.profile`."""
    return found


def plot(found: Profile, *, ax: Axes | None = None) -> Axes:
    """Draw on `ax`, or on a new figure."""
    ax = style.dress(ax) if ax is not None else style.axes()
    ax.plot(found.grid, found.rise, color=style.BLUE, lw=1.6, marker="o", ms=3)
    ax.axhline(CHI2_90, color=style.INK, lw=0.8, ls="--")
    ax.annotate("90 %", (1, CHI2_90), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                fontsize=8)  # fmt: skip
    ax.axvspan(*found.interval, color=style.BLUE, alpha=0.1, lw=0)
    if found.grid[0] > 0 and found.grid[-1] / found.grid[0] > LOG_RATIO:
        ax.set_xscale("log")
    ax.set_ylim(0, min(float(np.max(found.rise)) * 1.05, 4 * CHI2_90) or 1.0)
    low, high = found.interval
    what = f"{low:.3g} to {high:.3g}" if found.identified else "not identified: a ridge"
    ax.set(xlabel=f"{found.name} (held)", ylabel="Rise of the objective (chi-squared)")
    ax.set_title(f"{found.name}: 90 % {what}", loc="left", fontsize=10)
    return ax
