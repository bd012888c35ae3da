"""Tables with a known law, for the laws beside L(N, D)."""

import numpy as np

from fitting.moe import MoeLaw
from tests.fitting import simulated

CLARK = MoeLaw(a=-0.082, b=-0.108, c=0.009, d=1.104, e_start=1.847, e_max=314.478, residual_sd=0)


def sigmoid(loss):
    return 0.6 / (1 + np.exp(6 * (loss - 2.4))) + 0.25


def scores():
    m = simulated.grid()
    return {"n_params": m.n_params, "n_tokens": m.n_tokens, "loss": m.loss, "accuracy": sigmoid(m.loss)}  # fmt: skip


def schedule(n=400):
    steps = np.arange(1, n + 1)
    lr = 1e-3 * np.minimum(steps / 20, 1)
    return {"step": steps.astype(float), "lr": lr, "loss": 2.5 + 0.4 * np.cumsum(lr) ** -0.5}


def experts():
    N, E = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, 6), [1.0, 4, 16, 64, 256]))
    return {"n_params": N, "n_experts": E, "loss": CLARK.loss(N, E)}


def grid_of_runs(n_cells=3):
    rows = []
    for N in np.geomspace(1e8, 1e9, n_cells):
        for D in np.geomspace(2e9, 2e10, n_cells):
            lr, batch = 1.79 * N**-0.713 * D**0.307, 0.58 * D**0.571
            rows += [(N, D, lr * x, batch * y, 2 * (1 + 0.01 * (np.log(x) ** 2 + np.log(y) ** 2)))
                     for x in (0.25, 0.5, 1, 2, 4) for y in (0.5, 1, 2)]  # fmt: skip
    names = ("n_params", "n_tokens", "lr", "batch_tokens", "loss")
    return dict(zip(names, np.array(rows).T, strict=True))
