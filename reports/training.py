"""Training loss along a run: the trunk at constant rate, and the branches that cool down."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fitting.errors import RefusalError

Array = NDArray[np.float64]
SMOOTHED = 8  # a mean is taken over an eighth of a point's place to either side


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One branch: `horizon` 0 is the trunk."""

    horizon: int
    points: Array  # (R, 2) columns tokens, loss [nats/token]; non-finite ones left out
    smooth: Array  # (R,) the same losses without the scatter of single batches


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    curves: tuple[Curve, ...]
    evaluated: Array  # (M, 2) columns tokens, held-out loss
    n_left_out: int  # points whose loss was not finite


def curves(
    points: Iterable[Mapping[str, Any]], measured: Iterable[Mapping[str, Any]] = ()
) -> Training:
    """Group the points of a run by branch.

    Raises:
        RefusalError: no point has a finite loss.
    """
    branches: dict[int, list[tuple[float, float]]] = {}
    n_left_out = 0
    for p in points:
        if p["loss"] is None:
            n_left_out += 1
        else:
            branches.setdefault(p["branch"], []).append((p["n_tokens"], p["loss"]))
    if not branches:
        raise RefusalError(
            "a training curve needs a point with a finite loss; got none", code="no_data"
        )
    found = tuple(
        _curve(horizon, np.array(sorted(p), float)) for horizon, p in sorted(branches.items())
    )
    evaluated = np.array([(m["n_tokens"], m["loss"]) for m in measured], float).reshape(-1, 2)
    return Training(curves=found, evaluated=evaluated, n_left_out=n_left_out)


def _curve(horizon: int, points: Array) -> Curve:
    return Curve(horizon=horizon, points=points, smooth=smooth(points[:, 1]))


def smooth(losses: Array) -> Array:
    """Means over windows that widen with the place, (R,), so that a steep beginning stays steep;
    as wide to either side, or the end of a fall would be drawn too high."""
    i = np.arange(len(losses))
    half = np.minimum(i // SMOOTHED, len(losses) - 1 - i)
    return np.array([losses[k - h : k + h + 1].mean() for k, h in zip(i, half, strict=True)])


def plot(training: Training, *, ax: Axes | None = None) -> Axes:
    """Draw on `ax`, or on a new figure. Never shows, never saves."""
    if ax is None:
        ax = Figure(figsize=(7, 4), layout="constrained").subplots()
    colors = colormaps["viridis"](np.linspace(0.15, 0.85, len(training.curves)))
    for curve, color in zip(training.curves, colors, strict=True):
        label = (
            "trunk" if curve.horizon == 0 else "cooldowns" if curve is _first(training) else None
        )
        color = "0.35" if curve.horizon == 0 else color  # noqa: PLW2901
        ax.plot(*curve.points.T, color=color, lw=0.8, alpha=0.3)
        ax.plot(curve.points[:, 0], curve.smooth, color=color, lw=1.8, label=label)
    if len(training.evaluated):
        ax.plot(*training.evaluated.T, "o", color="#c2410c", ms=5, label="held-out evaluation")
    ax.set(xscale="log", xlabel="Tokens", ylabel="Loss (nats/token)")
    ax.grid(visible=True, which="major", lw=0.4, alpha=0.5)
    ax.legend(frameon=False)
    return ax


def _first(training: Training) -> Curve | None:
    """The first branch: it names them all in the legend."""
    return next((c for c in training.curves if c.horizon), None)
