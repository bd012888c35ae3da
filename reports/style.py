"""One look for all figures: colours, marks, compact units. No pyplot, nothing shown or saved."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from fitting.isoflop import Array

INK, GREY, PALE = "#222222", "#777777", "#d9d9d9"
BLUE, ORANGE, GREEN, RED, PURPLE = "#2b6cb0", "#dd6b20", "#2f855a", "#c53030", "#6b46c1"
APPROACH = {
    "envelope": GREEN,
    "parabola": BLUE,
    "akima": PURPLE,
    "chinchilla": ORANGE,
    "frontier": RED,
}
SIZE = (6.4, 4.2)
POINT: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 4.5, "mec": "white", "mew": 0.6}
STAR: dict[str, Any] = {
    "ls": "none",
    "marker": "*",
    "ms": 12,
    "mec": "white",
    "mew": 0.8,
    "zorder": 5,
}


def axes(title: str = "", size: tuple[float, float] = SIZE) -> Axes:
    """Fresh axes on a bare figure; safe from several threads."""
    ax = Figure(figsize=size, layout="constrained").subplots()
    return dress(ax, title)


def dress(ax: Axes, title: str = "") -> Axes:
    """Light frame and grid."""
    ax.grid(visible=True, color=PALE, lw=0.5)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if title:
        ax.set_title(title, loc="left", fontsize=10, color=INK)
    return ax


def shades(n: int) -> list[tuple[float, float, float, float]]:
    """n perceptually even colours, dark to light."""
    cmap = colormaps["viridis"]
    return [cmap(0.88 * i / max(n - 1, 1)) for i in range(n)]


def legend(ax: Axes, title: str = "", **options: Any) -> None:
    """Small, without a border."""
    ax.legend(title=title, frameon=True, framealpha=0.8, edgecolor="none", fontsize=8,
              title_fontsize=8, **options)  # fmt: skip


def counts(ax: Axes, axis: str) -> None:
    """Log axis with ticks such as 20k, 3M, 70B."""
    _log(ax, axis, compact)


def flops(ax: Axes, axis: str = "x") -> None:
    """Log axis with ticks such as 3e19."""
    _log(ax, axis, power)


def loss_over_compute(ax: Axes, grid: Array, measured: float, *, unit: str, beyond: str) -> None:
    """Log axes of a loss along `grid` [FLOP], shaded beyond what was `measured`, and the legend."""
    ax.axvspan(measured, grid[-1], color=PALE, alpha=0.3, lw=0)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(lambda v, _: f"{v:.3g}")
    ax.yaxis.set_minor_formatter(lambda v, _: f"{v:.3g}")
    ax.tick_params(axis="y", which="minor", labelsize=8)
    ax.set_xlim(grid[0] / 1.3, grid[-1])
    flops(ax)
    ax.set(xlabel=f"Compute C (FLOP); shaded: beyond {beyond}", ylabel=f"Loss ({unit})")
    legend(ax, loc="upper right")


def _log(ax: Axes, axis: str, text: Callable[[float], str]) -> None:
    getattr(ax, f"set_{axis}scale")("log")
    low, high = getattr(ax, f"get_{axis}lim")()
    decades = high / low if low > 0 else 10.0
    subs: Sequence[float] = (1.0,) if decades > 1e3 else (1.0, 3.0) if decades > 20 else (1, 2, 5)
    which = getattr(ax, f"{axis}axis")
    which.set_major_locator(LogLocator(subs=subs, numticks=12))
    which.set_major_formatter(FuncFormatter(lambda v, _: text(v)))
    which.set_minor_formatter(NullFormatter())


def compact(value: float) -> str:
    """20k, 3M, 70B, 1.4T."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def power(value: float) -> str:
    """3e19 as 3·10¹⁹."""
    mantissa, exponent = f"{value:.1e}".split("e")
    lead = float(mantissa)
    head = "" if lead == 1 else f"{lead:g}·"
    return f"{head}10$^{{{int(exponent)}}}$"
