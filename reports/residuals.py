"""Residuals of a fit against N, D and C: a law that is wrong shows a pattern, noise does not."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fitting.fitted import Fit
from fitting.isoflop import Array
from fitting.measurements import Measurements
from reports import style


class Residuals(NamedTuple):
    """Per cent of the loss, measured over fitted; N, D, C of every run, each (R,)."""

    percent: Array
    N: Array
    D: Array
    C: Array
    scatter: float  # robust standard deviation, per cent
    name: str


def curves(fitted: Fit, m: Measurements) -> Residuals:
    """100 ln(measured / fitted)."""
    r = np.log(m.loss) - np.log(fitted.predict(m.n_params, m.n_tokens, m.unique_tokens))
    return Residuals(100 * r, m.n_params, m.n_tokens, m.flops, 100 * fitted.residual_sd,
                     f"{fitted.law}, {fitted.objective}")  # fmt: skip


def plot(found: Residuals, *, ax: tuple[Axes, ...] | None = None) -> tuple[Axes, ...]:
    """Three panels with one vertical axis."""
    panels = ax or tuple(
        Figure(figsize=(10, 3.4), layout="constrained").subplots(1, 3, sharey=True)
    )
    names = ("Parameters N", "Training tokens D", "Compute C (FLOP)")
    for panel, x, name in zip(panels, (found.N, found.D, found.C), names, strict=True):
        style.dress(panel)
        panel.axhspan(-2 * found.scatter, 2 * found.scatter, color=style.BLUE, alpha=0.08, lw=0)
        panel.axhline(0, color=style.INK, lw=0.8)
        panel.plot(x, found.percent, color=style.BLUE, **style.POINT)
        panel.set_xscale("log")
        (style.flops if name.startswith("Compute") else style.counts)(panel, "x")
        panel.set_xlabel(name)
    panels[0].set_ylabel("Measured over fitted loss (%)")
    panels[0].set_title(f"{found.name}; band: 2 robust s.d.", loc="left", fontsize=10)
    return panels
