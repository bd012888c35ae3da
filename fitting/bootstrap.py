"""Resamples for uncertainty: each scheme gives weights or new data for all replicates at once.

    pairs        measurements, or whole clusters, drawn with replacement
    wild         residuals of a cluster flipped and scaled together (Webb's six points)
    parametric   normal errors of the residuals' size, that size itself uncertain (chi-squared);
                 half of the variance is common to a run's points

Measurements of one run err together: iid resampling of checkpoints understates errors severalfold,
so points are clustered by `group` wherever it is known. With few clusters, drawing them with
replacement loses whole sizes; then residuals are resampled and the design is kept.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fitting.errors import InputError

Array = NDArray[np.float64]
Scheme = Literal["pairs", "wild", "parametric"]
SCHEMES: tuple[Scheme, ...] = ("pairs", "wild", "parametric")
MIN_CLUSTERS = 20  # fewer: pairs are too coarse
MIN_POINTS = 40
MAX_DENSE = 1000  # measurements whose R x R correlation is written out
# Webb 2014 (Queen's Economics Department working paper 1315): for five to ten clusters
WEBB = np.sqrt(np.array([1.5, 1.0, 0.5, 0.5, 1.0, 1.5])) * np.array([-1, -1, -1, 1, 1, 1])
SHARED = (
    0.5  # of the error variance, by all points of a run; assumption, between two and a hundred %
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resamples:
    """`weights` (B, R) counts, or (R,) ones where `y` (B, R) carries the replicates instead."""

    scheme: Scheme
    weights: Array
    y: Array  # ln L, (R,) or (B, R)


def check_resampling(n: int, seed: int, scheme: str | None = None) -> None:
    """Raises InputError: a number of resamples, a seed or a scheme that cannot be meant."""
    if n < 0 or n == 1:  # the interval of one resample is that resample
        raise InputError(f"n_bootstrap must be 0 or at least 2; got {n}", field="n_bootstrap")
    if seed < 0:
        raise InputError(f"seed must not be negative; got {seed}", field="seed")
    _check_scheme(scheme)
    if scheme is not None and not n:
        raise InputError(f"scheme needs n_bootstrap: without resamples {scheme!r} changes nothing", field="scheme")  # fmt: skip


def _check_scheme(scheme: str | None) -> None:
    if scheme is not None and scheme not in SCHEMES:
        raise InputError(f"scheme must be one of {', '.join(SCHEMES)}; got {scheme!r}", field="scheme")  # fmt: skip


def choose_scheme(n_points: int, clusters: NDArray[np.str_] | None) -> Scheme:
    """Pairs where there are enough clusters (or independent points), residuals otherwise.

    Six runs with four horizons each are typical of a small sweep: drawing runs loses sizes, and
    flipping six signs (wild) understates the interval, so new errors are drawn.
    """
    n_clusters = n_points if clusters is None else len(np.unique(clusters))
    enough = MIN_POINTS if n_clusters == n_points else MIN_CLUSTERS
    return "pairs" if n_clusters >= enough else "parametric"


def resample(
    y: Array,
    fitted: Array,
    *,
    n: int,
    jacobian: Array,
    clusters: NDArray[np.str_] | None = None,
    scheme: Scheme | None = None,
    seed: int = 0,
) -> Resamples:
    """Replicates of the observed ln L.

    Args:
        y, fitted: (R,) observed and fitted ln L.
        n: number of replicates.
        jacobian: (P, R) of the fit, for what its coefficients absorbed of the errors.
        clusters: (R,) label of the run each point belongs to; None: independent.
        scheme: None chooses by the number of clusters.
        seed: the same seed gives the same replicates.
    """
    if n < 1:
        raise InputError(f"n_bootstrap must be at least 1; got {n}", field="n_bootstrap")
    _check_scheme(scheme)
    chosen = scheme or choose_scheme(len(y), clusters)
    rng = np.random.default_rng(seed)
    labels = np.arange(len(y)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    if chosen == "pairs":
        return Resamples(scheme=chosen, weights=_pairs(rng, labels, n), y=y)
    sd, dof = error_size(y - fitted, jacobian, labels)
    if chosen == "wild":
        inflate = np.sqrt(len(y) / max(len(y) - len(jacobian), 1))
        signs = rng.choice(WEBB, size=(n, int(labels.max()) + 1))
        new = fitted + (y - fitted) * inflate * signs[:, labels]
    else:
        spread = np.sqrt(dof / rng.chisquare(dof, size=(n, 1)))
        new = fitted + sd * spread * _errors(rng, labels, n)
    return Resamples(scheme=chosen, weights=np.ones(len(y)), y=new)


def error_size(residuals: Array, jacobian: Array, labels: NDArray[np.intp]) -> tuple[float, float]:
    """Standard deviation of the errors behind these residuals, and its degrees of freedom.

    Coefficients absorb a large part of what is common to a run, so residuals look too small:
    E[RSS] = sd^2 tr(M V), M the residual projection and V the errors' correlation. Degrees of
    freedom by Satterthwaite.
    """
    n = len(residuals)
    if n > MAX_DENSE:  # then a few coefficients hardly matter
        dof = n - len(jacobian)
        return float(np.sqrt(np.sum(residuals**2) / dof)), float(dof)
    Q, _ = np.linalg.qr(jacobian.T)
    V = np.where(labels[:, None] == labels, _shared(labels)[:, None], 0.0)
    np.fill_diagonal(V, 1.0)
    MV = V - Q @ (Q.T @ V)
    trace, square = float(np.trace(MV)), float(np.sum(MV * MV.T))
    trace, square = max(trace, 1e-3 * n), max(square, 1e-6)
    return float(np.sqrt(np.sum(residuals**2) / trace)), max(trace**2 / square, 1.0)


def _shared(labels: NDArray[np.intp]) -> Array:
    return np.where(np.bincount(labels)[labels] > 1, SHARED, 0.0)


def _errors(rng: np.random.Generator, labels: NDArray[np.intp], n: int) -> Array:
    """Standard normal errors (n, R), correlated within a label that has several points."""
    own = rng.standard_normal((n, len(labels)))
    common = rng.standard_normal((n, int(labels.max()) + 1))[:, labels]
    shared = _shared(labels)
    return np.asarray(np.sqrt(1 - shared) * own + np.sqrt(shared) * common)


def _pairs(rng: np.random.Generator, labels: NDArray[np.intp], n: int) -> Array:
    n_clusters = int(labels.max()) + 1
    counts = rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=n)
    return counts[:, labels].astype(float)


def interval(samples: Array, level: float = 0.9) -> tuple[float, float]:
    """Percentile interval that holds `level` of the finite samples; NaN where there are none."""
    if not np.isfinite(samples).any():
        return float("nan"), float("nan")
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(samples, [tail, 100 - tail])
    return float(low), float(high)
