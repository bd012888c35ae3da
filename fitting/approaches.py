"""The ways to read a sweep, in one shape: N*(C) and L*(C) with resamples of both.

    envelope     approach 1      parabola, akima   approach 2
    chinchilla   approach 3      frontier          one valley for all budgets

A law is resampled as every fit is (`fitting.bootstrap`), the other approaches by residuals scaled by
their degrees of freedom; whole runs together where a run gave several points.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fitting.bootstrap import resample
from fitting.envelope import envelope
from fitting.errors import RefusalError
from fitting.fit import fit
from fitting.fitted import Fit
from fitting.isoflop import Array, Budget, IsoFlop, PowerLaw, budgets, isoflop
from fitting.laws.protocol import Points
from fitting.measurements import Measurements
from fitting.rollout import Predictor

Name = Literal["envelope", "parabola", "akima", "chinchilla", "frontier"]
NAMES: tuple[Name, ...] = ("envelope", "parabola", "akima", "chinchilla", "frontier")
TITLES: dict[str, str] = {
    "envelope": "1 envelope",
    "parabola": "2 parabolas",
    "akima": "2 Akima",
    "chinchilla": "3 Chinchilla law",
    "frontier": "valley (all budgets at once)",
}
MAX_REFITS = 100  # resamples of approaches that have no vectorised form


@dataclass(frozen=True, kw_only=True, slots=True)
class Approach:
    """One reading of a sweep. Samples are (B,), without those that failed."""

    name: Name
    exponent: float  # a of N* ~ C^a
    exponent_samples: Array
    residual_sd: float  # of ln L, one run
    optimum: Predictor  # C -> ln N*, ln L*
    samples: Callable[[float], tuple[Array, Array]]  # C -> ln N*, ln L*
    fit: Fit | None = None
    curves: IsoFlop | None = None


def read(m: Measurements, name: Name, *, n_bootstrap: int, seed: int) -> Approach:
    """Read `m` in one way.

    Raises:
        RefusalError: this way cannot read these data.
    """
    if name == "chinchilla" or name == "frontier":  # noqa: PLR1714  # mypy narrows this
        return _from_law(m, name, n_bootstrap, seed)
    if name == "parabola":
        return _from_parabolas(m, n_bootstrap, seed)
    return _from_refits(m, name, min(n_bootstrap, MAX_REFITS), seed)


def read_each(
    m: Measurements, *, n_bootstrap: int, seed: int
) -> tuple[dict[Name, Approach], dict[Name, str]]:
    """All approaches that can read `m`, and why the others refused."""
    approaches: dict[Name, Approach] = {}
    refused: dict[Name, str] = {}
    for name in NAMES:
        try:
            approaches[name] = read(m, name, n_bootstrap=n_bootstrap, seed=seed)
        except RefusalError as e:
            refused[name] = "; ".join(e.reasons)
    return approaches, refused


def predictor(name: Name) -> Callable[[Measurements], Predictor]:
    """The approach's point prediction alone, for rollouts."""

    def method(seen: Measurements) -> Predictor:
        if name in {"chinchilla", "frontier"}:
            return _law_optimum(fit(seen, law=name, delta="mad"))
        return _power_optimum(*_power_laws(seen, name))

    return method


def _from_law(m: Measurements, name: Name, n: int, seed: int) -> Approach:
    found = fit(m, law=name, delta="mad", n_bootstrap=n, seed=seed)
    law, theta = found.law_object, found.sample_theta

    def samples(flops: float) -> tuple[Array, Array]:
        log_n = found.optimum_samples(flops)
        d = np.log(flops / 6) - log_n
        return log_n[:, 0], law.log_loss(theta, Points(n=log_n, d=d, u=d))[0][:, 0]

    two = np.array([1e20, 1e21])
    a = np.diff(law.log_optimum(theta, two), axis=1)[:, 0] / np.log(10)
    return Approach(
        name=name, exponent=found.exponents["a"], exponent_samples=a,
        residual_sd=found.residual_sd, optimum=_law_optimum(found), samples=samples, fit=found,
    )  # fmt: skip


def _law_optimum(found: Fit) -> Predictor:
    def at(flops: float) -> tuple[float, float]:
        N, D = found.optimum(flops)
        return float(np.log(N)), float(np.log(found.predict(N, D)))

    return at


def _power_optimum(size: PowerLaw, frontier: PowerLaw) -> Predictor:
    def at(flops: float) -> tuple[float, float]:
        return float(np.log(size(flops))), float(np.log(frontier(flops)))

    return at


def _power_laws(m: Measurements, name: Name, y: Array | None = None) -> tuple[PowerLaw, PowerLaw]:
    if name == "envelope":
        one = envelope(m, y=y)
        return one.size, one.frontier
    two = isoflop(m, curve="akima" if name == "akima" else "parabola", y=y)
    return two.size, two.frontier


def _from_lines(
    name: Name, laws: tuple[PowerLaw, PowerLaw], lines: Array, sd: float, curves: IsoFlop | None
) -> Approach:
    """`lines` (B, 4): intercept and slope of ln N*, of ln L*."""
    lines = lines[np.isfinite(lines).all(axis=1)]
    if len(lines) < 2:
        raise RefusalError(f"no resample of approach {TITLES[name]} has minima", code="bootstrap_failed")  # fmt: skip

    def samples(flops: float) -> tuple[Array, Array]:
        c = np.log(flops)
        return lines[:, 0] + lines[:, 1] * c, lines[:, 2] + lines[:, 3] * c

    return Approach(
        name=name, exponent=laws[0].slope, exponent_samples=lines[:, 1], residual_sd=sd,
        optimum=_power_optimum(*laws), samples=samples, curves=curves,
    )  # fmt: skip


def _from_refits(m: Measurements, name: Name, n: int, seed: int) -> Approach:
    """Approaches without a smooth fit of their own: noise of the parabolas' size is added."""
    laws = _power_laws(m, name)
    sd = _parabola_residuals(m)[1]
    noise = sd * np.random.default_rng(seed).standard_normal((n, len(m)))
    rows = []
    for e in noise:
        try:
            size, frontier = _power_laws(m, name, np.log(m.loss) + e)
        except RefusalError:
            continue
        rows.append([size.intercept, size.slope, frontier.intercept, frontier.slope])
    curves = isoflop(m, curve="akima") if name == "akima" else None
    return _from_lines(name, laws, np.array(rows).reshape(-1, 4), sd, curves)


def _from_parabolas(m: Measurements, n: int, seed: int) -> Approach:
    found = isoflop(m)
    fitted, sd, rows, jacobian = _parabola_residuals(m)
    drawn = resample(
        np.log(m.loss[rows]), fitted[rows], n=n, jacobian=jacobian, seed=seed,
        clusters=None if (runs := m.clusters) is None else runs[rows],
        scheme="parametric",
    )  # fmt: skip
    y = np.zeros((n, len(m)))
    y[:, rows] = drawn.y
    good = {q.flops for q in found.minima if not q.reason}
    used = [b for b in budgets(m) if b.flops in good]
    minima = np.stack([_vertices(m, b, np.exp(y[:, b.rows])) for b in used], axis=2)  # (B, 2, K)
    log_c = np.log([b.flops for b in used])
    lines = np.concatenate([_lines(log_c, minima[:, i]) for i in (0, 1)], axis=1)
    return _from_lines("parabola", (found.size, found.frontier), lines, sd, found)


def _parabola_residuals(m: Measurements) -> tuple[Array, float, NDArray[np.intp], Array]:
    """Fitted ln L (R,), pooled residual sd, rows that belong to a budget, and their Jacobian."""
    used = budgets(m)
    if not used:
        raise RefusalError("no budget has four sizes", code="too_few_budgets")
    fitted, jacobian = np.log(m.loss), np.zeros((3 * len(used), len(m)))
    for k, b in enumerate(used):
        X = _vandermonde(m, b)
        jacobian[3 * k : 3 * k + 3, b.rows] = X.T
        fitted[b.rows] = _log_parabola(X, m.loss[b.rows], b.flops)
    rows = np.concatenate([b.rows for b in used])
    dof = max(len(rows) - 3 * len(used), 1)
    sd = float(np.sqrt(np.sum((np.log(m.loss[rows]) - fitted[rows]) ** 2) / dof))
    return fitted, max(sd, 1e-9), rows, jacobian[:, rows]


def _log_parabola(X: Array, loss: Array, flops: float) -> Array:
    """ln of the parabola at the measured sizes. Raises RefusalError where it is not positive."""
    found: Array = X @ np.linalg.lstsq(X, loss, rcond=None)[0]
    if (found <= 0).any():
        raise RefusalError(
            f"the losses at {flops:.3g} FLOP, {loss.min():.4g} to {loss.max():.4g}, lie on no "
            "parabola: theirs is not positive where one was measured (is one of them wrong?)",
            code="no_parabola",
        )
    return np.log(found)


def _vandermonde(m: Measurements, b: Budget) -> Array:
    z = np.log(m.n_params[b.rows])
    return np.vander(z - z.mean(), 3, increasing=True)


def _vertices(m: Measurements, b: Budget, loss: Array) -> Array:
    """ln N* and ln L* of every resample, (B, 2); NaN where it is no minimum inside."""
    X = _vandermonde(m, b)
    z = np.log(m.n_params[b.rows])
    c0, c1, c2 = np.linalg.pinv(X) @ loss.T
    with np.errstate(divide="ignore", invalid="ignore"):
        v = -c1 / (2 * c2)
        least = c0 + c1 * v + c2 * v**2
        ok = (c2 > 0) & (least > 0) & (np.abs(v) < np.ptp(z))
        return np.stack([np.where(ok, z.mean() + v, np.nan), np.log(np.where(ok, least, np.nan))], axis=1)  # fmt: skip


def _lines(x: Array, y: Array) -> Array:
    """Intercept and slope (B, 2) of y (B, K) against x (K,), each over its finite points."""
    w = np.isfinite(y).astype(float)
    y = np.nan_to_num(y)
    n = w.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mx, my = (w @ x) / n, (w * y).sum(axis=1) / n
        dx = w * (x - mx[:, None])
        slope = (dx * y).sum(axis=1) / (dx * dx).sum(axis=1)
        enough = n >= 2
        return np.where(enough[:, None], np.stack([my - slope * mx, slope], axis=1), np.nan)
