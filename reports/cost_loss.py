"""What a lower loss costs: the best loss a law gives, against money, with the laws' thresholds.

`curves` prices the law's optimum along compute and is tested on its numbers; `plot` only draws.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fitting.costs.assumptions import Assumptions
from fitting.costs.figures import leaf
from fitting.costs.question import Law
from fitting.costs.rates import Rates, price, resolve
from fitting.costs.show import human
from fitting.costs.tables import Tables
from fitting.errors import InputError

Array = NDArray[np.float64]
N_POINTS = 80


class Line(NamedTuple):
    """Thresholds of equal compute share a line."""

    flops: float
    usd: float
    label: str


class Mark(NamedTuple):
    """A budget of interest on the curve."""

    label: str
    flops: float
    usd: float
    loss: float


class Curves(NamedTuple):
    """`usd`: (P, 3) low, value, high for each `flops`; `loss`: (P,) of the law's optimum."""

    flops: Array
    usd: Array
    loss: Array
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    floor: float | None  # irreducible loss E, where the law has one
    caption: str


def curves(
    law: Law,
    *,
    flops: tuple[float, float] = (1e19, 1e27),
    marks: dict[str, float] | None = None,
    tables: Tables | None = None,
    **assumptions: Any,
) -> Curves:
    """Price the optimum of every budget between two computes.

    Args:
        law: published or fitted; see `fitting.costs.question.Law`.
        flops: from, to [FLOP].
        marks: budgets to point out, label to FLOP.

    Raises:
        InputError: the device has no price, or the range is empty.
    """
    return curves_at(resolve(Assumptions(**assumptions), tables), law, flops=flops, marks=marks)


def curves_at(
    rates: Rates, law: Law, *, flops: tuple[float, float], marks: dict[str, float] | None = None
) -> Curves:
    """`curves` with the rates already looked up, such as those of a budget."""
    if not 0 < flops[0] < flops[1]:
        raise InputError(f"flops must be a rising range; got {flops}", field="flops")
    C = np.geomspace(*flops, N_POINTS)
    marked = (marks or {}).items()
    return Curves(
        flops=C,
        usd=np.array([_usd(rates, float(c)) for c in C]),
        loss=np.array([law.choose(float(c)).loss for c in C]),
        lines=_lines(rates, flops),
        marks=tuple(Mark(who, c, _usd(rates, c)[1], law.choose(c).loss) for who, c in marked),
        floor=getattr(law, "E", None),
        caption=f"{law.source}; {_rate(rates)}",
    )


def plot(c: Curves, *, ax: Axes | None = None) -> Axes:
    """Draw on `ax`, or on a new figure (`ax.figure`). Never shows, never saves."""
    if ax is None:
        ax = Figure(figsize=(7.5, 4.8), layout="constrained").subplots()
    low, value, high = c.usd.T
    ax.fill_betweenx(
        c.loss, low, high, color="tab:blue", alpha=0.15, lw=0, label="price and speed, P10 to P90"
    )
    ax.plot(value, c.loss, color="tab:blue", lw=2, label="best loss for the money")
    if c.floor is not None:
        ax.axhline(c.floor, color="0.6", lw=1, ls=":")
        ax.annotate(f"irreducible, {c.floor:.3g}", (0.02, c.floor), xytext=(0, 2), fontsize=7,
                    xycoords=ax.get_yaxis_transform(), textcoords="offset points", color="0.4")  # fmt: skip
    _thresholds(c, ax)
    _marks(c, ax)
    ax.set(xscale="log", xlabel="Rent of the final run (USD)", ylabel="Loss (nats/token)")
    ax.set_xlim(value[0], value[-1])
    _compute_axis(c, ax)
    ax.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 0.1))
    return ax


def _thresholds(c: Curves, ax: Axes) -> None:
    for line in c.lines:
        ax.axvline(line.usd, color="tab:red", lw=1, ls="--")
        ax.annotate(line.label, (line.usd, 0.99), xycoords=ax.get_xaxis_transform(), xytext=(-4, 0),
                    textcoords="offset points", rotation=90, va="top", ha="right", fontsize=7,
                    color="tab:red")  # fmt: skip


def _marks(c: Curves, ax: Axes) -> None:
    """Labels above the curve, each on a step of its own so that neighbours do not meet."""
    for i, mark in enumerate(sorted(c.marks, key=lambda m: m.usd)):
        ax.plot(mark.usd, mark.loss, "o", color="black", ms=5, zorder=5)
        ax.annotate(mark.label, (mark.usd, mark.loss), ha="center",
                    xytext=(0, 18 + 18 * (len(c.marks) - 1 - i)),
                    textcoords="offset points", fontsize=8, zorder=6,
                    arrowprops={"arrowstyle": "-", "lw": 0.5},
                    bbox={"fc": "white", "ec": "none", "alpha": 0.85, "pad": 1})  # fmt: skip


def _compute_axis(c: Curves, ax: Axes) -> None:
    """Compute along the top: money is proportional to it."""
    per_usd = float(c.flops[0] / c.usd[0, 1])

    def to_flops(usd: ArrayLike) -> Array:
        return np.asarray(usd, float) * per_usd

    def to_usd(flops: ArrayLike) -> Array:
        return np.asarray(flops, float) / per_usd

    ax.secondary_xaxis("top", functions=(to_flops, to_usd)).set_xlabel("Training compute (FLOP)")


def _usd(rates: Rates, flops: float) -> tuple[float, float, float]:
    found = price(rates, leaf("flops", flops, "FLOP")).get("usd")
    if found is None:
        raise InputError(
            f"no price of {rates.device.id} is known; give usd_per_device_h", field="device"
        )
    return found.low, found.value, found.high


def _lines(rates: Rates, flops: tuple[float, float]) -> tuple[Line, ...]:
    names: dict[float, list[str]] = {}
    for row in rates.tables.thresholds:
        if flops[0] <= row.flops <= flops[1]:
            gone = (
                " (revoked)" if row.until_date and row.until_date <= rates.assumptions.date else ""
            )
            names.setdefault(row.flops, []).append(row.name.replace("AI Act: ", "") + gone)
    return tuple(Line(f, _usd(rates, f)[1], "\n".join(who)) for f, who in sorted(names.items()))


def _rate(rates: Rates) -> str:
    usd = human(rates.price.value, "USD") if rates.price else "no price"
    return f"{rates.device.id} at {usd}/h and {rates.speed.utilisation.value:.0%} of its peak"
