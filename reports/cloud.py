"""Resamples of a fit: the correlated cloud of its exponents, and of the recommended size and loss."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fitting.fitted import Fit
from fitting.isoflop import Array
from reports import style

MAX_DRAWN = 1000


class Cloud(NamedTuple):
    """Samples (B, 2) of two coefficients, (B,) of N* at a budget, and the points themselves."""

    names: tuple[str, str]
    coefficients: Array
    point: tuple[float, float]
    optimum: Array
    best: float
    flops: float


def curves(fitted: Fit, flops: float) -> Cloud:
    """The law's two essential coefficients (or its last two)."""
    free = [n for n in fitted.law_object.essential if n in fitted.samples]
    names = tuple((free + list(fitted.samples))[:2])
    step = max(1, -(-len(fitted.samples[names[0]]) // MAX_DRAWN))
    pair = np.column_stack([fitted.samples[n] for n in names])[::step]
    N = np.exp(fitted.optimum_samples(flops)[::step, 0])
    return Cloud(
        names=(names[0], names[1]), coefficients=pair,
        point=(fitted.coefficients[names[0]], fitted.coefficients[names[1]]),
        optimum=N[np.isfinite(N)],
        best=float(fitted.optimum(flops)[0]), flops=flops,
    )  # fmt: skip


def plot(found: Cloud, *, ax: tuple[Axes, Axes] | None = None) -> tuple[Axes, Axes]:
    """Coefficients left, sizes right."""
    left, right = ax or Figure(figsize=(9, 4), layout="constrained").subplots(1, 2)
    style.dress(left).plot(*found.coefficients.T, ls="none", marker=".", ms=4, color=style.BLUE,
                           alpha=0.35, mew=0)  # fmt: skip
    left.plot(*found.point, color=style.RED, **style.STAR)
    left.set(xlabel=found.names[0], ylabel=found.names[1])
    left.set_title(f"{len(found.coefficients)} resamples", loc="left", fontsize=10)
    _optima(right, found)
    right.set_title(f"at {style.power(found.flops)} FLOP", loc="left", fontsize=10)
    return left, right


def _optima(ax: Axes, found: Cloud) -> None:
    """N* alone: at one budget D* is C / (6 N*)."""
    low, high = np.percentile(found.optimum, [0.5, 99.5])
    ax.hist(found.optimum, bins=list(np.geomspace(low, high, 40)), color=style.BLUE, alpha=0.6)
    ax.axvspan(*np.percentile(found.optimum, [5, 95]), color=style.BLUE, alpha=0.1, lw=0)
    ax.axvline(found.best, color=style.RED, lw=2)
    style.dress(ax)
    style.counts(ax, "x")
    ax.set(xlabel="Optimal parameters N* (shaded: 90 %)", ylabel="Resamples")
