"""Two recipes at equal compute: which is better where, and how much compute one saves.

Each recipe has its own law; along its compute-optimal frontier L*(C) the difference, the slopes
and the crossing are read from resamples of both fits, which are independent.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fitting.bootstrap import interval
from fitting.errors import InputError
from fitting.fit import fit
from fitting.fitted import Fit
from fitting.laws.protocol import ORIGIN, Array, Points
from fitting.measurements import Measurements

N_GRID = 241
REACH = np.log(1e3)  # crossings are searched this far beyond the measured compute
SAME_SD = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Numbers are (value, low, high) with 90 % intervals; `b` against `a`."""

    at_flops: float
    loss_a: tuple[float, float, float]
    loss_b: tuple[float, float, float]
    loss_ratio: tuple[float, float, float]  # L*_b / L*_a at `at_flops`
    slope_a: tuple[float, float, float]  # d ln L* / d ln C there
    slope_b: tuple[float, float, float]
    compute_ratio: tuple[float, float, float]  # C of b for a's loss, over `at_flops`; inf: never
    crossing_flops: tuple[float, float, float] | None
    crossing_share: float  # of the resamples that cross within reach
    fits: tuple[Fit, Fit]
    grid: Array  # FLOP
    frontier_a: Array  # (B, K)
    frontier_b: Array

    def to_dict(self) -> dict[str, Any]:
        def triple(t: tuple[float, float, float] | None) -> dict[str, float | None] | None:
            if t is None:
                return None
            named = zip(("value", "low", "high"), t, strict=True)
            return {k: v if np.isfinite(v) else None for k, v in named}

        names = ("loss_a", "loss_b", "loss_ratio", "slope_a", "slope_b", "compute_ratio", "crossing_flops")  # fmt: skip
        out: dict[str, Any] = {name: triple(getattr(self, name)) for name in names}
        return {"at_flops": self.at_flops, **out, "crossing_share": self.crossing_share,
                "verdict": self.verdict(),
                "coefficients": [f.coefficients for f in self.fits]}  # fmt: skip

    def verdict(self) -> str:
        """One sentence."""
        _, low, high = self.loss_ratio
        if low <= 1 <= high:
            return f"no difference can be told at {self.at_flops:.3g} FLOP"
        better, ratio = ("b", self.compute_ratio) if high < 1 else ("a", self.compute_ratio)
        needs = (
            f"{ratio[0]:.2f} of" if np.isfinite(ratio[0]) else "more than any measured multiple of"
        )
        return f"{better} is better at {self.at_flops:.3g} FLOP; b needs {needs} a's compute for a's loss"


def compare(
    a: Measurements, b: Measurements, *, law: str = "chinchilla", flops: float | None = None,
    n_bootstrap: int = 1000, seed: int = 0,
) -> Comparison:  # fmt: skip
    """Compare recipe b with recipe a.

    Args:
        a, b: measurements of each recipe, in one loss unit and tokenizer.
        law: fitted to both.
        flops: where to compare; None: the largest compute that both have measured.
        n_bootstrap: resamples of each.

    Raises:
        InputError: different units or tokenizers.
        RefusalError: one of the fits.
    """
    for name in ("loss_unit", "tokenizer"):
        one, two = getattr(a, name), getattr(b, name)
        if one != two:
            raise InputError(f"recipes must share their {name}; got {one!r} and {two!r} (convert to bits per byte)", field=name)  # fmt: skip
    one, two = a.tokenizer_fingerprint, b.tokenizer_fingerprint
    if one and two and one != two:  # a table from elsewhere need not have one
        raise InputError(f"recipes must share their tokenizer; both are {a.tokenizer!r}, with the fingerprints {one[:12]} and {two[:12]} (convert to bits per byte)", field="tokenizer_fingerprint")  # fmt: skip
    fits = tuple(
        fit(m, law=law, delta="mad", n_bootstrap=n_bootstrap, seed=seed + k)
        for k, m in enumerate((a, b))
    )
    at = flops or min(float(a.flops.max()), float(b.flops.max()))
    low, high = min(a.flops.min(), b.flops.min()), max(a.flops.max(), b.flops.max())
    grid = np.geomspace(low / np.exp(REACH), high * np.exp(REACH), N_GRID)
    points = [_frontier(f, grid, f.law_object.theta({k: np.array([v]) for k, v in f.coefficients.items()}, ORIGIN)) for f in fits]  # fmt: skip
    n = min(len(next(iter(f.samples.values()))) for f in fits)
    draws = [_frontier(f, grid, f.sample_theta[:n]) for f in fits]
    return _assemble((fits[0], fits[1]), np.log(grid), np.log(at), points, draws)


def _frontier(f: Fit, grid: Array, theta: Array) -> Array:
    """ln L*(C), (B, K)."""
    log_n = f.law_object.log_optimum(theta, grid)
    d = np.log(grid / 6) - log_n
    return f.law_object.log_loss(theta, Points(n=log_n, d=d, u=d))[0]


def _assemble(fits: tuple[Fit, Fit], c: Array, at: float, points: list[Array], draws: list[Array]) -> Comparison:  # fmt: skip
    both = [np.concatenate([p, d]) for p, d in zip(points, draws, strict=True)]  # row 0: the point
    here = [np.array([np.interp(at, c, row) for row in x]) for x in both]
    slope = [np.array([np.interp(at, c, np.gradient(row, c)) for row in x]) for x in both]
    ratio = np.array([_compute_ratio(c, at, la, row) for la, row in zip(here[0], both[1], strict=True)])  # fmt: skip
    crossing = np.array([_crossing(c, p - q) for p, q in zip(*both, strict=True)])
    share = float(np.isfinite(crossing[1:]).mean())
    known = np.isfinite(crossing[0]) and share > 0.5
    return Comparison(
        at_flops=float(np.exp(at)), loss_a=_triple(np.exp(here[0])), loss_b=_triple(np.exp(here[1])),
        loss_ratio=_triple(np.exp(here[1] - here[0])), slope_a=_triple(slope[0]),
        slope_b=_triple(slope[1]), compute_ratio=_triple(ratio),
        crossing_flops=_triple(np.exp(crossing)) if known else None, crossing_share=share,
        fits=fits, grid=np.exp(c), frontier_a=np.exp(both[0]), frontier_b=np.exp(both[1]),
    )  # fmt: skip


def _triple(values: Array) -> tuple[float, float, float]:
    """Point and 90 % interval; infinite where a twentieth of the resamples is."""
    finite = np.where(np.isfinite(values[1:]), values[1:], np.nan)
    low, high = interval(finite)
    if np.isinf(values[1:]).mean() > 0.05:
        high = float("inf")
    return float(values[0]), low, high


def _compute_ratio(c: Array, at: float, target: float, row: Array) -> float:
    """C at which a falling frontier reaches `target`, over e^at."""
    below = np.flatnonzero(row <= target)
    if not below.size:
        return float("inf")
    k = int(below[0])
    if k == 0:
        return float(np.exp(c[0] - at))
    t = (row[k - 1] - target) / max(row[k - 1] - row[k], SAME_SD)
    return float(np.exp(c[k - 1] + t * (c[k] - c[k - 1]) - at))


def _crossing(c: Array, gap: Array) -> float:
    """ln C of the last change of sign; NaN without one."""
    change = np.flatnonzero(np.sign(gap[:-1]) * np.sign(gap[1:]) < 0)
    if not change.size:
        return float("nan")
    k = int(change[-1])
    return float(c[k] + (c[k + 1] - c[k]) * gap[k] / (gap[k] - gap[k + 1]))
