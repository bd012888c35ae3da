"""Learning-rate and batch-size laws: optima of each (N, D), then power laws through them.

    ln lr* = k + p ln N + q ln D        ln batch* = k + q ln D     [batch in tokens]

The optimum of one (N, D) is its best run, averaged (in logs) with those that are indistinguishable
from it, as published; or the minimum of a paraboloid in (ln lr, ln batch) through all runs within
a few per cent. Intervals resample (N, D), or their residuals where there are few of them: drawing
four or ten (N, D) with replacement leaves designs that determine no power of N and D. Compared with Step Law (arXiv:2503.04715): lr* = 1.79
N^-.713 D^.307, batch* = .58 D^.571; DeepSeek (2401.02954) and Porian et al. (2406.19146) state
theirs in C and in N alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fitting.bootstrap import check_resampling, interval, resample
from fitting.errors import RefusalError
from fitting.measurements import Array

Method = Literal["best", "paraboloid"]
MIN_RUNS = 10  # of one (N, D) within `NEAR` of its best
SAME = 5e-4  # relative excess loss within evaluation noise
NEAR = 0.02  # relative excess loss that still is the paraboloid
MIN_CELLS = 4
MAX_LOG = 700.0  # of a factor that a float still holds
PUBLISHED: dict[str, dict[str, float]] = {
    "step law": {"lr_k": 1.79, "lr_n": -0.713, "lr_d": 0.307, "batch_k": 0.58, "batch_d": 0.571},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """The optimum of one (N, D)."""

    n_params: float
    n_tokens: float
    lr: float
    batch_tokens: float
    n_runs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HyperLaw:
    """`coefficients` lr_k, lr_n, lr_d, batch_k, batch_d; 90 % `intervals`, if asked for."""

    coefficients: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    cells: tuple[Cell, ...]
    dropped: tuple[str, ...]  # why a (N, D) gave no optimum

    def lr(self, N: Any, D: Any) -> Array:
        c = self.coefficients
        return np.asarray(c["lr_k"] * np.power(N, c["lr_n"]) * np.power(D, c["lr_d"]))

    def batch_tokens(self, D: Any) -> Array:
        c = self.coefficients
        return np.asarray(c["batch_k"] * np.power(D, c["batch_d"]))


def hyper_law(
    runs: Mapping[str, Any], *, method: Method = "best", n_bootstrap: int = 1000, seed: int = 0
) -> HyperLaw:
    """Fit both laws.

    Args:
        runs: columns n_params, n_tokens, lr, batch_tokens, loss.
        method: "best" runs or "paraboloid".
        n_bootstrap: resamples; 0: no intervals.
        seed: of the resamples.

    Raises:
        InputError: a number of resamples, or a seed, that cannot be meant.
        RefusalError: fewer than four (N, D) have an optimum inside their grid.
    """
    check_resampling(n_bootstrap, seed)
    columns = {k: np.asarray(runs[k], float) for k in ("n_params", "n_tokens", "lr", "batch_tokens", "loss")}  # fmt: skip
    cells, dropped = _cells(columns, method)
    if len(cells) < MIN_CELLS:
        raise RefusalError(
            f"learning-rate and batch laws need {MIN_CELLS} combinations of N and D whose optimum "
            f"lies inside their grid; {len(cells)} have one", code="too_few_cells", reasons=dropped,
        )  # fmt: skip
    n, d, lr, batch = (
        np.log([getattr(c, name) for c in cells])
        for name in ("n_params", "n_tokens", "lr", "batch_tokens")
    )
    fits = _powers("lr", {"n": n, "d": d}, lr, n_bootstrap, seed)
    fits |= _powers("batch", {"d": d}, batch, n_bootstrap, seed)
    return HyperLaw(
        coefficients={k: float(v[0]) for k, v in fits.items()}, cells=tuple(cells), dropped=dropped,
        intervals={k: interval(v[1:]) for k, v in fits.items()} if n_bootstrap else {},
    )  # fmt: skip


def _cells(c: Mapping[str, Array], method: Method) -> tuple[list[Cell], tuple[str, ...]]:
    found, dropped = [], []
    for N, D in np.unique(np.stack([c["n_params"], c["n_tokens"]], axis=1), axis=0):
        rows = np.flatnonzero((c["n_params"] == N) & (c["n_tokens"] == D))
        loss = c["loss"][rows]
        near = rows[loss <= loss.min() * (1 + (SAME if method == "best" else NEAR))]
        vertex = (
            _centre(c, near)
            if method == "best"
            else _vertex(np.log(c["lr"][near]), np.log(c["batch_tokens"][near]), c["loss"][near])
        )
        if isinstance(vertex, str):
            dropped.append(f"N {N:.3g}, D {D:.3g}: {vertex}")
            continue
        lr, batch = np.exp(vertex)
        found.append(Cell(n_params=float(N), n_tokens=float(D), lr=float(lr),
                          batch_tokens=float(batch), n_runs=len(near)))  # fmt: skip
    return found, tuple(dropped)


def _centre(c: Mapping[str, Array], rows: NDArray[np.intp]) -> Array:
    return np.array([np.log(c["lr"][rows]).mean(), np.log(c["batch_tokens"][rows]).mean()])


def _vertex(x: Array, z: Array, loss: Array) -> Array | str:
    """(ln lr, ln batch) of the paraboloid's minimum, or why there is none."""
    if len(x) < MIN_RUNS or np.ptp(x) == 0 or np.ptp(z) == 0:
        return f"{len(x)} runs near the best, {MIN_RUNS} in both directions are needed"
    mx, mz = x.mean(), z.mean()
    u, v = x - mx, z - mz
    X = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)
    _, b, c, d, e, f = np.linalg.lstsq(X, loss, rcond=None)[0]
    H = np.array([[2 * d, e], [e, 2 * f]])
    if np.linalg.eigvalsh(H).min() <= 0:
        return "the losses do not bend upwards in every direction"
    at = -np.linalg.solve(H, [b, c])
    if not (u.min() <= at[0] <= u.max() and v.min() <= at[1] <= v.max()):
        return "the optimum lies outside the grid"
    return np.array([at[0] + mx, at[1] + mz])


def _powers(name: str, logs: Mapping[str, Array], y: Array, n: int, seed: int) -> dict[str, Array]:
    """Factor k and powers of y = ln k + sum q ln x: the point, then `n` resamples, each (1 + n,)."""
    X = np.stack([np.ones_like(y), *logs.values()], axis=1)
    point = np.linalg.lstsq(X, y, rcond=None)[0]
    samples = [point[None]]
    if n:
        drawn = resample(y, X @ point, n=n, jacobian=X.T, seed=seed)
        if drawn.y.ndim == 2:  # new errors on the same cells
            samples.append(np.linalg.lstsq(X, drawn.y.T, rcond=None)[0].T)
        else:
            samples += [np.linalg.lstsq(X * w, y * w[:, 0], rcond=None)[0][None]
                        for w in np.sqrt(drawn.weights)[:, :, None]]  # fmt: skip
    k, *powers = np.concatenate(samples).T
    named = {f"{name}_{q}": v for q, v in zip(logs, powers, strict=True)}
    return {f"{name}_k": np.exp(np.clip(k, -MAX_LOG, MAX_LOG)), **named}
