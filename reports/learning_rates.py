"""Peak learning rates: what GPT-3 and LLaMA used, what our transfer rule gives for their shapes,
and what published laws say.

`curves` computes and is tested on its numbers; `plot` only draws.
"""

from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fitting.costs.flops import train_flops
from fitting.costs.tables import Tables, load_tables
from fitting.errors import InputError

Array = NDArray[np.float64]


class Series(NamedTuple):
    """One family or one law over parameters [params], sorted."""

    label: str
    n_params: Array
    lr: Array


class Curves(NamedTuple):
    theirs: tuple[Series, ...]  # per family, as published
    ours: tuple[Series, ...]  # hidden matrices, for the same shapes
    laws: tuple[Series, ...]  # at the first family's tokens
    n_tokens: float  # of the laws' lines


def curves(
    groups: tuple[str, ...] = ("gpt3", "llama1"),
    *,
    base_lr: float,
    base_width: float,
    tables: Tables | None = None,
) -> Curves:
    """Published rates beside base_lr x base_width / d_model, the rule of width transfer.

    Args:
        groups: families of tables/models.csv that state their rate.
        base_lr: rate at `base_width`, as the trainer's recipe has it.

    Raises:
        InputError: a family without stated rates.
    """
    tables = tables or load_tables()
    theirs, ours, sizes = [], [], []
    for group in groups:
        rows = sorted(
            (m for m in tables.models.values() if m.group == group and m.lr),
            key=lambda m: m.stated_params,
        )
        if not rows:
            known = sorted({m.group for m in tables.models.values() if m.lr})
            raise InputError(f"group must be one of {known}; got {group!r}", field="groups")
        N = np.array([m.stated_params for m in rows])
        width = np.array([m.d_model for m in rows])
        theirs.append(Series(group, N, np.array([m.lr or np.nan for m in rows])))
        ours.append(Series(group, N, base_lr * base_width / width))
        sizes.append(N)
    first = next(m for m in tables.models.values() if m.group == groups[0])
    every = np.concatenate(sizes)
    grid = np.geomspace(every.min(), every.max(), 50)
    laws = _laws(grid, first.n_tokens, tables)
    return Curves(tuple(theirs), tuple(ours), laws, first.n_tokens)


def plot(c: Curves, *, ax: Axes | None = None) -> Axes:
    """Draw on `ax`, or on a new figure (`ax.figure`). Never shows, never saves."""
    if ax is None:
        ax = Figure(figsize=(7, 4.6), layout="constrained").subplots()
    for series, marker in zip(c.theirs, "osD^", strict=False):
        ax.plot(
            series.n_params,
            series.lr,
            marker,
            color="black",
            ms=6,
            label=f"{series.label}, published",
        )
    for series, marker in zip(c.ours, "osD^", strict=False):
        ax.plot(series.n_params, series.lr, marker, color="tab:red", mfc="none", ms=8, ls="-", lw=1.2,
                label=f"{series.label}, our transfer rule")  # fmt: skip
    colors = colormaps["viridis"](np.linspace(0.15, 0.85, len(c.laws)))
    for law, color in zip(c.laws, colors, strict=True):
        ax.plot(law.n_params, law.lr, color=color, lw=1, ls="--", label=law.label)
    ax.set(xscale="log", yscale="log", xlabel="Parameters N", ylabel="Peak learning rate (Adam)")
    title = f"laws at D = {c.n_tokens / 1e9:.0f}B tokens"
    ax.legend(frameon=False, fontsize=8, title=title, title_fontsize=8)
    return ax


def _laws(N: Array, D: float, tables: Tables) -> tuple[Series, ...]:
    C = train_flops(1.0, D) * N
    return tuple(
        Series(row["label"], N, row["coefficient"] * N ** row["n"] * D ** row["d"] * C ** row["c"])
        for row in tables.learning_rates.values()
    )
