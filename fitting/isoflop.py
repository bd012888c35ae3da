"""Approach 2: the minimum of loss against ln N at each budget, then power laws through the minima.

Two curves per budget: a parabola in ln N, and Akima's local interpolation, which assumes no shape.
Only minima that are convex and inside the measured sizes count; the others are reported.
Source: Hoffmann et al. 2022, arXiv:2203.15556, sec. 3.2. The parabola's bias for a skewed curve is
known for every grid (`fitting.bias`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fitting.errors import RefusalError
from fitting.measurements import Measurements

Array = NDArray[np.float64]
Curve = Literal["parabola", "akima"]

SAME_BUDGET = 0.12  # gap in ln C that separates budgets where none is named
MAX_SPAN = np.log(1.5)  # in ln C of one budget: losses differ by a per cent over less than that
MIN_SIZES = 3  # where budgets are named
MIN_SIZES_GUESSED = 4  # where they are only gaps in ln C


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """One isoFLOP curve; `flops` is nominal, or the geometric mean of its runs."""

    flops: float
    rows: NDArray[np.intp]  # of the measurements


@dataclass(frozen=True, kw_only=True, slots=True)
class Minimum:
    """The bottom of one curve. `reason` is empty where it counts."""

    flops: float
    n_params: float
    loss: float
    coefficients: tuple[float, float, float]  # L = c0 + c1 z + c2 z^2, z = ln N - centre
    centre: float  # ln N
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerLaw:
    """value = exp(intercept + slope ln C)."""

    intercept: float
    slope: float

    def __call__(self, flops: Array | float) -> Array:
        return np.exp(self.intercept + self.slope * np.log(flops))


@dataclass(frozen=True, kw_only=True, slots=True)
class IsoFlop:
    """Approach 2's answer: N*(C) and the frontier L*(C)."""

    curve: Curve
    minima: tuple[Minimum, ...]  # of every budget, also those that do not count
    size: PowerLaw  # N*
    frontier: PowerLaw  # L*


def budgets(m: Measurements) -> list[Budget]:
    """Rows by budget, smallest first: by `budget_flops`, or where ln C has gaps."""
    if m.budget_flops is not None:
        values = np.unique(m.budget_flops)
        found = [Budget(flops=float(v), rows=np.flatnonzero(m.budget_flops == v)) for v in values]
    else:
        log_c = np.log(m.flops)
        found = [Budget(flops=float(np.exp(log_c[p].mean())), rows=p) for p in alike(log_c)]
    least = MIN_SIZES_GUESSED if m.budget_flops is None else MIN_SIZES
    return [b for b in found if len(np.unique(m.n_params[b.rows])) >= least]


def alike(log_c: Array) -> list[NDArray[np.intp]]:
    """Rows of nearly the same compute, least first: cut at gaps, and where runs fill the compute
    without gaps (horizons that are epochs, a cloud) at the widest until no part exceeds `MAX_SPAN`.
    """
    order = np.argsort(log_c, kind="stable")
    cuts = np.flatnonzero(np.diff(log_c[order]) > SAME_BUDGET) + 1
    left, found = np.split(order, cuts), list[NDArray[np.intp]]()
    while left:
        part = left.pop(0)
        if np.ptp(log_c[part]) <= MAX_SPAN:
            found.append(part)
        else:
            left[:0] = np.split(part, [int(np.diff(log_c[part]).argmax()) + 1])
    return found


def isoflop(
    m: Measurements, *, curve: Curve = "parabola", y: Array | None = None, min_budgets: int = 2
) -> IsoFlop:
    """Fit approach 2.

    Args:
        m: measurements of at least `min_budgets` budgets with three sizes each (four unless named).
        curve: "parabola" or "akima".
        y: (R,) ln L to use instead of the measured (for resamples).
        min_budgets: whose minimum must be convex and inside.

    Raises:
        RefusalError: `too_few_budgets`, with the reason of every budget that does not count.
    """
    loss = m.loss if y is None else np.exp(y)
    grouped = budgets(m)
    fit_one = parabola if curve == "parabola" else akima
    minima = tuple(fit_one(np.log(m.n_params[b.rows]), loss[b.rows], b.flops) for b in grouped)
    good = [q for q in minima if not q.reason]
    if len(good) < min_budgets:
        reasons = tuple(f"{q.flops:.3g} FLOP: {q.reason}" for q in minima if q.reason)
        raise RefusalError(
            f"approach 2 needs {min_budgets} budgets with {MIN_SIZES} sizes each and a minimum "
            f"inside them; {len(good)} of {len(minima)} budgets have one",
            code="too_few_budgets",
            reasons=(f"{len(good)} of {len(minima)} budgets have a minimum inside, {min_budgets} needed",
                     *reasons),
        )  # fmt: skip
    log_c = np.log([q.flops for q in good])
    return IsoFlop(
        curve=curve, minima=minima,
        size=line(log_c, np.log([q.n_params for q in good])),
        frontier=line(log_c, np.log([q.loss for q in good])),
    )  # fmt: skip


def parabola(log_n: Array, loss: Array, flops: float) -> Minimum:
    """Least-squares parabola of L in ln N; its vertex must be a minimum inside the sizes."""
    centre = float(log_n.mean())
    z = log_n - centre
    c2, c1, c0 = (float(c) for c in np.polyfit(z, loss, 2))
    vertex = -c1 / (2 * c2) if c2 > 0 else float(z[loss.argmin()])
    least = c0 + c1 * vertex + c2 * vertex**2
    return Minimum(
        flops=flops, n_params=float(np.exp(centre + np.clip(vertex, -20, 20))),
        loss=least,
        coefficients=(c0, c1, c2), centre=centre, reason=_reason(c2, vertex, z, least),
    )  # fmt: skip


def _reason(c2: float, vertex: float, z: Array, least: float) -> str:
    if c2 <= 0:
        return "the losses do not bend upwards on both sides (concave parabola)"
    if vertex <= z.min():
        return "the minimum lies below the smallest size; add smaller models"
    if vertex >= z.max():
        return "the minimum lies above the largest size; add larger models"
    return "" if least > 0 else "the parabola's minimum is not positive"


def akima(log_n: Array, loss: Array, flops: float) -> Minimum:
    """Minimum of Akima's interpolation on 400 points; repeated sizes are averaged."""
    from scipy.interpolate import Akima1DInterpolator  # noqa: PLC0415  # 0.2 s, rarely needed

    sizes, where = np.unique(np.round(log_n, 9), return_inverse=True)
    means = np.bincount(where, loss) / np.bincount(where)
    grid = np.linspace(sizes[0], sizes[-1], 400)
    values = Akima1DInterpolator(sizes, means)(grid)
    k = int(values.argmin())
    rim = k in {0, len(grid) - 1}
    below = parabola(log_n, loss, flops)
    reason = f"the least loss is at the {'smallest' if k == 0 else 'largest'} size" if rim else ""
    if values[k] <= 0:
        reason = "the interpolation's minimum is not positive"
    return Minimum(
        flops=flops, n_params=float(np.exp(grid[k])), loss=float(values[k]),
        coefficients=below.coefficients, centre=below.centre, reason=reason,
    )  # fmt: skip


def line(x: Array | Sequence[float], y: Array | Sequence[float]) -> PowerLaw:
    """Least-squares line y = intercept + slope x."""
    slope, intercept = np.polyfit(x, y, 1)
    return PowerLaw(intercept=float(intercept), slope=float(slope))
