"""Two recipes at equal compute: which is better where, and how much compute one saves.

Each recipe has its own law; along its compute-optimal frontier L*(C) the difference, the slopes
and the crossing are read from resamples of both fits, which are independent.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fitting.bootstrap import interval
from fitting.errors import InputError, Note, RefusalError
from fitting.fit import fit
from fitting.fitted import Fit
from fitting.laws.protocol import ORIGIN, Array, Points
from fitting.measurements import Measurements
from fitting.recommendation import SUPPORTED, TOO_FAR

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
    # C of b for a's loss, over `at_flops`; inf: never, 0: less than is searched
    compute_ratio: tuple[float, float, float]
    crossing_flops: tuple[float, float, float] | None
    crossing_share: float  # of the resamples that cross within reach
    fits: tuple[Fit, Fit]
    grid: Array  # FLOP
    frontier_a: Array  # (B, K)
    frontier_b: Array
    warnings: tuple[Note, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        def triple(t: tuple[float, float, float] | None) -> dict[str, float | None] | None:
            if t is None:
                return None
            named = zip(("value", "low", "high"), t, strict=True)
            return {k: v if np.isfinite(v) else None for k, v in named}

        names = ("loss_a", "loss_b", "loss_ratio", "slope_a", "slope_b", "compute_ratio", "crossing_flops")  # fmt: skip
        out: dict[str, Any] = {name: triple(getattr(self, name)) for name in names}
        return {"at_flops": self.at_flops, **out, "crossing_share": self.crossing_share,
                "verdict": self.verdict(), "warnings": [n.to_dict() for n in self.warnings],
                "coefficients": [f.coefficients for f in self.fits]}  # fmt: skip

    def verdict(self) -> str:
        """One sentence."""
        _, low, high = self.loss_ratio
        if low <= 1 <= high:
            return f"no difference can be told at {self.at_flops:.3g} FLOP"
        better, ratio = "b" if high < 1 else "a", self.compute_ratio[0]
        needs = (
            f"{ratio:.2g} of" if 0 < ratio < np.inf
            else f"{'less' if ratio == 0 else 'more'} than any measured multiple of"
        )  # fmt: skip
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
        InputError: different units or tokenizers, or a `flops` that cannot be meant.
        RefusalError: one of the fits, or `flops` too far from what either has measured.
    """
    if flops is not None and not (np.isfinite(flops) and flops > 0):
        raise InputError(f"flops must be finite and positive; got {flops}", field="flops")
    for name in ("loss_unit", "tokenizer"):
        one, two = getattr(a, name), getattr(b, name)
        if one != two:
            raise InputError(f"recipes must share their {name}; got {one!r} and {two!r} (convert to bits per byte)", field=name)  # fmt: skip
    one, two = a.tokenizer_fingerprint, b.tokenizer_fingerprint
    if one and two and one != two:  # a table from elsewhere need not have one
        raise InputError(f"recipes must share their tokenizer; both are {a.tokenizer!r}, with the fingerprints {one[:12]} and {two[:12]} (convert to bits per byte)", field="tokenizer_fingerprint")  # fmt: skip
    at = min(float(a.flops.max()), float(b.flops.max())) if flops is None else flops
    notes = [*_reach_notes("a", a, at), *_reach_notes("b", b, at)]
    fits = tuple(
        fit(m, law=law, delta="mad", n_bootstrap=n_bootstrap, seed=seed + k)
        for k, m in enumerate((a, b))
    )
    low, high = min(a.flops.min(), b.flops.min(), at), max(a.flops.max(), b.flops.max(), at)
    grid = np.geomspace(low / np.exp(REACH), high * np.exp(REACH), N_GRID)
    points = [_frontier(f, grid, f.law_object.theta({k: np.array([v]) for k, v in f.coefficients.items()}, ORIGIN)) for f in fits]  # fmt: skip
    n = min(len(next(iter(f.samples.values()))) for f in fits)
    draws = [_frontier(f, grid, f.sample_theta[:n]) for f in fits]
    found = _assemble((fits[0], fits[1]), np.log(grid), np.log(at), points, draws)
    if not np.isfinite([found.loss_a, found.loss_b]).all():
        raise RefusalError(
            f"at {at:.3g} FLOP the {law} law of one recipe has no optimum: {found.loss_a[0]:.4g} and "
            f"{found.loss_b[0]:.4g} of a and b; compare where both are measured", code="no_optimum",
        )  # fmt: skip
    return replace(found, at_flops=at, warnings=tuple(notes))


def _reach_notes(name: str, m: Measurements, at: float) -> list[Note]:
    """Whether a recipe was measured there; RefusalError where nobody could tell."""
    low, high = float(m.flops.min()), float(m.flops.max())
    text = f"{at:.3g} FLOP lies outside the {low:.3g} to {high:.3g} that {name} has measured"
    if not low / TOO_FAR <= at <= high * TOO_FAR:
        raise RefusalError(f"{text}; beyond {TOO_FAR:.0g} times no fit is supported", code="too_far")  # fmt: skip
    if low / SUPPORTED <= at <= high * SUPPORTED:
        return []
    return [Note("extrapolated", f"{text}: its loss there is extrapolated")]


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
        return 0.0
    t = (row[k - 1] - target) / max(row[k - 1] - row[k], SAME_SD)
    return float(np.exp(c[k - 1] + t * (c[k] - c[k - 1]) - at))


def _crossing(c: Array, gap: Array) -> float:
    """ln C of the last change of sign; NaN without one."""
    change = np.flatnonzero(np.sign(gap[:-1]) * np.sign(gap[1:]) < 0)
    if not change.size:
        return float("nan")
    k = int(change[-1])
    return float(c[k] + (c[k + 1] - c[k]) * gap[k] / (gap[k] - gap[k + 1]))
