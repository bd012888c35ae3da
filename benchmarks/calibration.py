"""How often does the 90 % interval hold the truth? Simulated sweeps with a known law.

    python benchmarks/calibration.py [--sweeps 200] [--bootstrap 300] [--seed 1]

Truth: additive laws with coefficients drawn around the published ones; sizes on a grid around the
true optimum, itself misplaced; errors of .3 % per run, in the second design half of them common to
all horizons of a run. The target is ten times the largest budget.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np

from fitting.analysis import analyse
from fitting.errors import RefusalError
from fitting.fit import fit
from fitting.laws.chinchilla import Chinchilla
from fitting.laws.protocol import ORIGIN, Points
from fitting.measurements import Measurements
from fitting.recommend import recommend

NOISE = 3e-3  # of ln L, per run
DESIGNS = {  # budgets [FLOP], sizes per budget, half-width of the sizes, whether horizons share a run
    "4 budgets x 5 sizes": (np.geomspace(1e18, 3e19, 4), 5, 3.0, False),
    "4 horizons x 6 sizes": (np.geomspace(1e18, 3e19, 4), 6, 6.0, True),
    "6 budgets x 7 sizes": (np.geomspace(1e18, 1e20, 6), 7, 4.0, False),
}


def truth(rng: np.random.Generator) -> np.ndarray:
    """theta of an additive law near the published ones."""
    alpha, beta = rng.uniform(0.28, 0.45, 2)
    c = {"E": rng.uniform(1.4, 2.0), "alpha": alpha, "beta": beta}
    # Terms of about equal size at N = 5e8, D = 1e10, as in every published fit.
    c["A"] = rng.uniform(0.3, 0.8) * 5e8**alpha
    c["B"] = rng.uniform(0.3, 0.8) * 1e10**beta
    return Chinchilla().theta({k: np.array([v]) for k, v in c.items()}, ORIGIN)


def sweep(rng: np.random.Generator, theta: np.ndarray, design: str) -> Measurements:
    """One simulated sweep."""
    budgets, n_sizes, half, shared = DESIGNS[design]
    law = Chinchilla()
    best = law.log_optimum(theta, budgets)[0]
    rungs = np.linspace(-np.log(half), np.log(half), n_sizes)
    if shared:  # the same sizes at every budget: one trunk with a branch at each horizon
        log_n = np.tile(best.mean() + rng.normal(0, 0.2) + rungs, len(budgets))
    else:
        log_n = (best[:, None] + rng.normal(0, 0.2, (len(budgets), 1)) + rungs).ravel()
    C = np.repeat(budgets, n_sizes)
    N, D = np.exp(log_n), C / 6 / np.exp(log_n)
    error = rng.normal(0, NOISE, len(N))
    if shared:
        error = (error + np.tile(rng.normal(0, NOISE, n_sizes), len(budgets))) / np.sqrt(2)
    loss = np.exp(law.log_loss(theta, Points.at(N, D))[0][0] + error)
    columns = {"n_params": N, "n_tokens": D, "loss": loss, "budget": C}
    if shared:
        columns["group"] = [f"{n:.4g}" for n in N]
    return Measurements.from_columns(columns)


Answer = tuple[float, float, float, float, float, float]  # N*, its interval, loss, its interval


def by_fit(m: Measurements, flops: float, n_bootstrap: int, seed: int) -> Answer:
    """`isoflop fit --bootstrap` and `recommend`."""
    found = fit(m, delta="mad", n_bootstrap=n_bootstrap, seed=seed)
    r = recommend(found, m, flops=flops)
    return r.n_params, *r.interval_n_params, r.loss.value, r.loss.low, r.loss.high


def by_analysis(m: Measurements, flops: float, n_bootstrap: int, seed: int) -> Answer:
    """What the demo and the service do."""
    r = analyse(m, n_bootstrap=n_bootstrap, seed=seed).recommend(flops)
    return r.n_params, *r.interval_n_params, r.loss.value, r.loss.low, r.loss.high


METHODS: dict[str, Callable[..., Answer]] = {"fit (chinchilla)": by_fit, "analyse": by_analysis}


def rows(
    n_sweeps: int, n_bootstrap: int, only: str, seed: int
) -> Iterator[tuple[str, str, int, list[float]]]:
    """Per design and method: refusals, then coverage and typical errors."""
    law = Chinchilla()
    for design, (budgets, *_) in DESIGNS.items():
        for name, method in METHODS.items():
            if only not in f"{design} {name}":
                continue
            rng = np.random.default_rng(seed)
            hits, refused = [], 0
            for k in range(n_sweeps):
                theta = truth(rng)
                m = sweep(rng, theta, design)
                C = 10 * budgets[-1]
                true_n = law.log_optimum(theta, np.array([C]))[0, 0]
                true_l = law.log_loss(theta, Points.at(np.exp(true_n), C / 6 / np.exp(true_n)))[0][
                    0, 0
                ]
                outcome = true_l + rng.normal(0, NOISE)  # one run at the true optimum
                try:
                    n, low, high, loss, l_low, l_high = method(m, C, n_bootstrap, k)
                except RefusalError:
                    refused += 1
                    continue
                hits.append([
                    np.log(low) <= true_n <= np.log(high), np.log(high / low) / 2,
                    abs(np.log(n) - true_n), np.log(l_low) <= outcome <= np.log(l_high),
                    np.log(l_high / l_low) / 2, abs(np.log(loss) - true_l),
                ])  # fmt: skip
            table = np.array(hits, float)
            held = table[:, [0, 3]].mean(axis=0)
            yield design, name, refused, [held[0], *np.median(table[:, 1:3], axis=0), held[1],
                                          *np.median(table[:, 4:], axis=0)]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=200)
    parser.add_argument("--bootstrap", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1, help="of truths and errors")
    parser.add_argument("--only", default="", help="part of a design's or method's name")
    args = parser.parse_args()
    print(
        "| design | method | refused | N* held | half-width | error | loss held | half-width | error |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for design, name, refused, (n, nw, ne, loss, lw, le) in rows(
        args.sweeps, args.bootstrap, args.only, args.seed
    ):
        print(f"| {design} | {name} | {refused} | {100 * n:.0f} % | {100 * nw:.0f} % | {100 * ne:.0f} % "
              f"| {100 * loss:.0f} % | {100 * lw:.2f} % | {100 * le:.2f} % |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
