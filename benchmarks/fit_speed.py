"""Speed of fitting, as ratios in one run against the published way of doing it.

    OMP_NUM_THREADS=1 python benchmarks/fit_speed.py runs/chinchilla_epoch.csv [--sample 45]

The published way (Besiroglu et al. 2024, arXiv:2404.10102, their notebook, re-implemented): a grid
of 4,500 starts in raw logs, each minimised by L-BFGS-B with numeric gradients, and bootstraps by
BFGS from the optimum. It is sampled down to
--sample starts and bootstraps, and scaled up; what is scaled says so.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from itertools import product

import numpy as np
from scipy.optimize import minimize

from fitting.fit import fit
from fitting.measurements import Measurements

N_STARTS, N_BOOTSTRAPS = 4500, 4000
GRID = (np.linspace(0, 25, 6), np.linspace(0, 25, 6), np.linspace(-1, 1, 5),
        np.linspace(0, 2, 5), np.linspace(0, 2, 5))  # fmt: skip  # a, b, e, alpha, beta


def objective(p: np.ndarray, n: np.ndarray, d: np.ndarray, y: np.ndarray) -> float:
    a, b, e, alpha, beta = p
    r = np.abs(y - np.log(np.exp(a - alpha * n) + np.exp(b - beta * d) + np.exp(e)))
    return float(np.where(r < 1e-3, 0.5 * r**2, 1e-3 * (r - 0.5e-3)).sum())


def published(
    starts: list[np.ndarray], n: np.ndarray, d: np.ndarray, y: np.ndarray, method: str
) -> float:
    """The least objective over the starts; gradients are numeric."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return min(float(minimize(objective, s, (n, d, y), method=method).fun) for s in starts)


def timed(action: Callable[[], object], repeat: int = 3) -> tuple[float, object]:
    """Best of `repeat` wall times in seconds, and the last result."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        result = action()
        times.append(time.perf_counter() - start)
    return min(times), result


def many(m: Measurements, size: int) -> Measurements:
    """`size` measurements drawn from `m` with .5 % noise."""
    rng = np.random.default_rng(0)
    rows = rng.integers(len(m), size=size)
    noise = np.exp(5e-3 * rng.standard_normal(size))
    columns = {"n_params": m.n_params[rows], "n_tokens": m.n_tokens[rows], "loss": m.loss[rows] * noise}  # fmt: skip
    return Measurements.from_columns(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv")
    parser.add_argument("--sample", type=int, default=45)
    args = parser.parse_args()
    m = Measurements.from_csv(args.csv)
    n, d, y = np.log(m.n_params), np.log(m.n_tokens), np.log(m.loss)
    rng = np.random.default_rng(0)
    grid = [np.array(p) for p in product(*GRID)]
    starts = [grid[i] for i in rng.choice(len(grid), args.sample, replace=False)]
    slow, value = timed(lambda: published(starts, n, d, y, "L-BFGS-B"), repeat=1)
    slow *= N_STARTS / args.sample

    def bootstraps() -> None:
        best = np.array([np.log(477.8), np.log(2143.4), np.log(1.8172), 0.3473, 0.3672])
        for _ in range(args.sample):
            i = rng.integers(len(m), size=len(m))
            published([best], n[i], d[i], y[i], "BFGS")

    slow_boot = timed(bootstraps, repeat=1)[0] * N_BOOTSTRAPS / args.sample
    fast, found = timed(lambda: fit(m))
    fast_boot, _ = timed(lambda: fit(m, n_bootstrap=N_BOOTSTRAPS))
    big = {k: timed(lambda k=k: fit(many(m, k)), repeat=2)[0] for k in (1_000, 3_000, 10_000)}
    print("| what | published way (scaled) | here | ratio |\n|---|---|---|---|")
    print(f"| point fit, {len(m)} points | {slow:.1f} s | {fast:.3f} s | {slow / fast:.0f} |")
    print(f"| {N_BOOTSTRAPS} bootstraps | {slow_boot:.1f} s | {fast_boot:.2f} s | {slow_boot / fast_boot:.0f} |")  # fmt: skip
    for size, seconds in big.items():
        print(f"| point fit, {size:,} points | | {seconds:.2f} s | {1e6 * seconds / size:.0f} µs/point |")  # fmt: skip
    print(f"\nobjective: published way {value:.10g} (best of {args.sample} of {N_STARTS} starts), "
          f"here {found.objective_value:.10g}")  # fmt: skip


if __name__ == "__main__":
    main()
