"""Sweeps with a known law, for tests."""

import numpy as np

from fitting.laws.chinchilla import Chinchilla
from fitting.laws.protocol import ORIGIN, Points
from fitting.measurements import Measurements

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
BUDGETS = np.geomspace(1e18, 3e19, 4)


def theta(coefficients=None):
    c = coefficients or TRUTH
    return Chinchilla().theta({k: np.array([float(v)]) for k, v in c.items()}, ORIGIN)


def loss(N, D, coefficients=None):
    f = Chinchilla().log_loss(theta(coefficients), Points.at(N, D))[0][0]
    return np.exp(f).reshape(np.shape(N))


def best_size(C, coefficients=None):
    return float(np.exp(Chinchilla().log_optimum(theta(coefficients), np.array([C]))[0, 0]))


def grid(noise=0.0, seed=0, n=6):
    """A rectangle of n sizes by n token counts."""
    N, D = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 3e9, n), np.geomspace(3e8, 3e10, n)))
    error = np.exp(noise * np.random.default_rng(seed).standard_normal(len(N)))
    return Measurements.from_columns({"n_params": N, "n_tokens": D, "loss": loss(N, D) * error})


def isoflops(noise=0.0, seed=0, *, budgets=BUDGETS, n_sizes=5, half=3.0, coefficients=None):
    """n_sizes around the optimum of each budget."""
    best = [best_size(C, coefficients) for C in budgets]
    N = np.concatenate([b * np.geomspace(1 / half, half, n_sizes) for b in best])
    C = np.repeat(budgets, n_sizes)
    D = C / 6 / N
    error = np.exp(noise * np.random.default_rng(seed).standard_normal(len(N)))
    columns = {"n_params": N, "n_tokens": D, "loss": loss(N, D, coefficients) * error, "budget": C}
    return Measurements.from_columns(columns)


def trunks(noise=0.0, seed=0, n_sizes=6):
    """n_sizes runs, each measured at the horizon of every budget."""
    N = np.tile(best_size(5e18) * np.geomspace(1 / 6, 6, n_sizes), len(BUDGETS))
    C = np.repeat(BUDGETS, n_sizes)
    D = C / 6 / N
    error = np.exp(noise * np.random.default_rng(seed).standard_normal(len(N)))
    group = [f"run {n:.3g}" for n in N]
    columns = {
        "n_params": N,
        "n_tokens": D,
        "loss": loss(N, D) * error,
        "budget": C,
        "group": group,
    }
    return Measurements.from_columns(columns)
