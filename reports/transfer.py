"""Does one learning rate serve every width? Loss against base rate, a line per size, its best rate.

`curves` computes and is tested on its numbers; `plot` only draws.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from fitting.errors import InputError
from reports.style import POINT, STAR, axes, legend, shades

Array = NDArray[np.float64]


class Line(NamedTuple):
    """One width: losses at rising rates, and the bottom of the parabola in ln rate."""

    d_model: int
    lr: Array
    loss: Array  # nats/token, mean over seeds
    best_lr: float
    best_loss: float


def curves(rows: Sequence[Mapping[str, float]]) -> tuple[Line, ...]:
    """A line per width.

    Args:
        rows: measurements with `d_model`, `lr` and `loss` [nats/token]; seeds are averaged.

    Raises:
        InputError: a width with fewer than three rates, or whose best rate is not enclosed by
            worse ones on both sides.
    """
    return tuple(_line(d, rows) for d in sorted({int(r["d_model"]) for r in rows}))


def spread(lines: Sequence[Line]) -> float:
    """Largest best rate over the smallest: 1 is perfect transfer."""
    best = [line.best_lr for line in lines]
    return max(best) / min(best)


def _line(d_model: int, rows: Sequence[Mapping[str, float]]) -> Line:
    by_lr: dict[float, list[float]] = {}
    for r in rows:
        if int(r["d_model"]) == d_model:
            by_lr.setdefault(r["lr"], []).append(r["loss"])
    lr = np.array(sorted(by_lr))
    loss = np.array([np.mean(by_lr[x]) for x in lr])
    i = int(loss.argmin())
    if len(lr) < 3 or i in (0, len(lr) - 1):
        raise InputError(
            f"the rates of width {d_model} must enclose the best one; got {lr.tolist()} with the "
            f"lowest loss at {lr[i]:g} (try rates beyond it)",
            field="lr",
        )
    # The parabola through the best rate and its neighbours, in ln lr.
    near = slice(i - 1, i + 2)
    a, b, c = np.polyfit(np.log(lr[near]), loss[near], 2)
    return Line(d_model, lr, loss, float(np.exp(-b / (2 * a))), float(c - b**2 / (4 * a)))


def plot(lines: Sequence[Line], *, ax: Axes | None = None) -> Axes:
    """Draw on `ax`, or on a new figure. Never shows, never saves."""
    ax = ax or axes()
    for line, colour in zip(lines, shades(len(lines)), strict=True):
        ax.plot(line.lr, line.loss, color=colour, lw=1, alpha=0.6)
        ax.plot(line.lr, line.loss, color=colour, label=f"width {line.d_model}", **POINT)
        ax.plot([line.best_lr], [line.best_loss], color=colour, **STAR)
    ax.set_xscale("log")
    ax.set_xlabel("base learning rate (CompleteP carries it to the width)")
    ax.set_ylabel("loss [nats/token]")
    legend(ax, f"best rates within a factor {spread(lines):.2f}")
    return ax
