"""Two recipes on one plane: what was measured, both frontiers with their 90 % bands, the crossing."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from fitting.bootstrap import interval
from fitting.compare import Comparison
from fitting.isoflop import Array
from fitting.measurements import Measurements
from reports import style

BEYOND = 10.0  # times the largest compute
COLORS = (style.BLUE, style.RED)


class Recipe(NamedTuple):
    name: str
    runs: Array  # (R, 2) C, L
    loss: Array  # (K,) L* along the grid
    low: Array  # (K,) 90 %
    high: Array


class Versus(NamedTuple):
    grid: Array  # (K,) C [FLOP]
    recipes: tuple[Recipe, Recipe]
    measured: float  # the largest compute of either
    crossing: float | None  # C, where most resamples have one


def curves(found: Comparison, a: Measurements, b: Measurements, names: tuple[str, str]) -> Versus:
    """From a comparison and what it compared."""
    low = min(float(a.flops.min()), float(b.flops.min()))
    top = max(float(a.flops.max()), float(b.flops.max()))
    near = (found.grid >= low) & (found.grid <= BEYOND * top)
    recipes = tuple(
        _recipe(name, m, frontier[:, near])
        for name, m, frontier in zip(names, (a, b), (found.frontier_a, found.frontier_b), strict=True)
    )  # fmt: skip
    crossing = None if found.crossing_flops is None else found.crossing_flops[0]
    return Versus(found.grid[near], (recipes[0], recipes[1]), top, crossing)


def _recipe(name: str, m: Measurements, frontier: Array) -> Recipe:
    """`frontier` (B, K): the fit's own in row 0, then those of its resamples."""
    low, high = np.array([interval(column) for column in frontier[1:].T]).T
    return Recipe(name, np.column_stack([m.flops, m.loss]), frontier[0], low, high)


def plot(found: Versus, *, unit: str = "nats/token", ax: Axes | None = None) -> Axes:
    """Draw on `ax`, or on a new figure."""
    ax = style.dress(ax) if ax is not None else style.axes()
    for recipe, color in zip(found.recipes, COLORS, strict=True):
        ax.plot(*recipe.runs.T, color=color, alpha=0.5, **style.POINT)
        ax.fill_between(found.grid, recipe.low, recipe.high, color=color, alpha=0.15, lw=0)
        # matplotlib leaves names that begin with _ out of a legend
        ax.plot(found.grid, recipe.loss, color=color, lw=2, label=recipe.name.lstrip("_"))
    if found.crossing is not None and found.grid[0] <= found.crossing <= found.grid[-1]:
        ax.axvline(found.crossing, color=style.INK, ls=":", lw=1.2, label="they cross")
    style.loss_over_compute(ax, found.grid, found.measured, unit=unit, beyond="the runs")
    return ax
