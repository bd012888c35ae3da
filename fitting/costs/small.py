"""How fast one CPU core trains models too small to keep it busy, before a sweep has measured it.

A step of 20 thousand parameters is mostly calls, not arithmetic: a tenth of what a core reaches at
300 thousand. The rows are ours, `small_models` of constants.toml; speed is a power law of N between
and below them, and a family's utilisation holds above.
"""

import math
from collections.abc import Sequence
from typing import Any

from fitting.costs.figures import Figure
from fitting.costs.tables import Tables


def core_speed(runs: Sequence[tuple[float, float]], tables: Tables) -> dict[str, Any]:
    """Assumptions about the speed of runs (N [params], C [FLOP]) on one core, all hours together.

    Returns:
        Fields of `Assumptions`; empty where a run is larger than the largest row.
    """
    rows = sorted(tables.constants["small_models"].values(), key=lambda r: r["n_params"])
    if not runs or max(n for n, _ in runs) > 1.1 * rows[-1]["n_params"]:
        return {}
    total = math.fsum(c for _, c in runs)
    value, low, high = (
        total / math.fsum(c / _at(n, rows, column) for n, c in runs)
        for column in ("value", "low", "high")
    )
    source = f"{rows[0]['source']} ({rows[0]['as_of']}), by size; a sweep measures it here"
    return {
        "measured_flop_s": value,
        "measured_flop_s_band": (low, high),
        "flop_s_source": source,
    }


def _at(n_params: float, rows: Sequence[dict[str, Any]], column: str) -> float:
    """Interpolated in logs; below the first row along the line of the first two [FLOP/s]."""
    x = math.log(n_params)
    sizes = [math.log(r["n_params"]) for r in rows]
    k = max(1, next((i for i, s in enumerate(sizes) if s >= x), len(rows) - 1))
    y0, y1 = math.log(rows[k - 1][column]), math.log(rows[k][column])
    share = (x - sizes[k - 1]) / (sizes[k] - sizes[k - 1])
    return math.exp(y0 + share * (y1 - y0))


def compiling(n_params: float, tables: Tables) -> tuple[Figure, Figure]:
    """How many times as fast compiled steps of one core are as eager ones, and the seconds of
    waiting for them; beyond the rows' sizes the nearest row's."""
    rows = sorted(tables.constants["compiling"].items(), key=lambda r: r[1]["n_params"])
    x = math.log(n_params)
    name = min(rows, key=lambda r: abs(math.log(r[1]["n_params"]) - x))[0]
    gain = tables.constant("compiling", name, name="gain of compiling")
    return gain, tables.constant("compile_wait", name="wait for compiling", unit="s")
