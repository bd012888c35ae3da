"""Errors of every approach on budgets that it had not seen; the line joins the means."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from fitting.analysis import Analysis
from fitting.approaches import TITLES
from fitting.isoflop import Array
from reports import style


class Errors(NamedTuple):
    """Per approach (H, 2): compute held out over the largest seen, error of L* in per cent."""

    by_approach: dict[str, Array]
    trusted: str


def curves(a: Analysis) -> Errors:
    """From the analysis' rollouts."""
    table = {
        str(k): np.array([[np.exp(h.distance), 100 * h.error_log_loss] for h in r.held_out])
        for k, r in a.rollouts.items()
    }
    return Errors({k: v[np.argsort(v[:, 0])] for k, v in table.items()}, a.trusted)


def means(table: Array) -> Array:
    """Mean error at each distance, (G, 2); equal to a per mille, budgets being rounded."""
    ratio = np.round(np.log(table[:, 0]), 3)
    groups = [table[ratio == r] for r in np.unique(ratio)]
    return np.array([g.mean(0) for g in groups]).reshape(-1, 2)


def plot(found: Errors, *, ax: Axes | None = None) -> Axes:
    """Draw on `ax`, or on a new figure."""
    ax = style.dress(ax) if ax is not None else style.axes()
    ax.axhline(0, color=style.INK, lw=0.8)
    for name, table in found.by_approach.items():
        trusted = name == found.trusted
        label = f"{TITLES[name]}{' (trusted)' if trusted else ''}"
        look: dict[str, Any] = {"color": style.APPROACH[name], "marker": "o", "mec": "white"}
        lw, ms = (2, 7) if trusted else (1, 5)
        ax.plot(*table.T, ls="", ms=ms, **look)
        ax.plot(*means(table).T, lw=lw, **look | {"marker": ""})
        ax.plot([], [], lw=lw, ms=ms, label=label, **look)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda v, _: f"×{v:.3g}")
    ax.xaxis.set_minor_formatter(lambda v, _: f"×{v:.3g}")
    ax.tick_params(axis="x", which="both", labelsize=8)
    ax.set(xlabel="Held-out compute over the largest compute seen",
           ylabel="Predicted over measured least loss (%)")  # fmt: skip
    if found.by_approach:
        style.legend(ax)
    return ax
