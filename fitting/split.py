"""How much of a total budget to spend on the sweep: the share with the least expected final loss.

    E[L] over ln N ~ normal(ln N*((1 - f) C), Var[ln N* | sweep of f C] + form error)

More sweep: a better N, less compute to train it. The form error grows
with the distance between the sweep's largest budget and the final run. The lecture's three days of thirty, computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitting.design import SCATTER, prospect
from fitting.errors import InputError
from fitting.laws.protocol import ORIGIN, Array, Law, Points
from fitting.laws.registry import law_named

SHARES = np.geomspace(1e-5, 0.6, 80)
FORM = 0.03  # of ln N* per e-fold of extrapolation: published exponents a differ by that much
LARGEST = np.log(30.0)  # a size wrong by more than this factor costs no more: one would notice


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """`share` of the total goes to the sweep; the arrays are the whole trade-off."""

    share: float
    loss: float
    flat: tuple[float, float]  # shares within .1 % of the least expected loss
    shares: Array
    losses: Array

    def to_dict(self) -> dict[str, Any]:
        return {"share": self.share, "loss": self.loss, "flat": list(self.flat),
                "shares": self.shares.tolist(), "losses": self.losses.tolist()}  # fmt: skip


def grid_design(
    flops: float, coefficients: Mapping[str, float], *, law: str = "chinchilla", n_budgets: int = 5,
    n_sizes: int = 5, ratio: float = 3.0, half_width: float = 4.0,
) -> tuple[Array, Array]:  # fmt: skip
    """N and D (R,) of an isoFLOP sweep that spends `flops` in all, around the assumed optimum."""
    shares = ratio ** np.arange(n_budgets)
    budgets = flops * shares / shares.sum() / n_sizes
    chosen = law_named(law)
    best = chosen.log_optimum(_theta(chosen, coefficients), budgets)[0]
    log_n = (best[:, None] + np.linspace(-np.log(half_width), np.log(half_width), n_sizes)).ravel()
    return np.exp(log_n), np.repeat(budgets, n_sizes) / 6 / np.exp(log_n)


def split(
    total: float, coefficients: Mapping[str, float], *, law: str = "chinchilla",
    scatter: float = SCATTER, **design: Any,
) -> Split:  # fmt: skip
    """The best share of `total` [FLOP] for the sweep.

    Args:
        coefficients: the law as far as it is known; the answer is flat, so roughly will do.
        scatter: standard deviation of ln L between equal runs.
        design: of `grid_design`: n_budgets, n_sizes, ratio, half_width.
    """
    if not (np.isfinite(total) and total > 0):
        raise InputError(f"total must be finite and positive; got {total}", field="total")
    chosen = law_named(law)
    theta = _theta(chosen, coefficients)

    def final_loss(share: float) -> float:
        N, D = grid_design(share * total, coefficients, law=law, **design)
        rest = (1 - share) * total
        known = prospect(N, D, coefficients=coefficients, target=rest, law=law, scatter=scatter)
        distance = float(np.log(rest / np.max(6 * N * D)))
        return _expected(chosen, theta, rest, float(np.hypot(known.log_size_sd, FORM * distance)))

    losses = np.array([final_loss(float(f)) for f in SHARES])
    k = int(losses.argmin())
    flat = SHARES[losses <= losses[k] * 1.001]
    return Split(share=float(SHARES[k]), loss=float(losses[k]), shares=SHARES, losses=losses,
                 flat=(float(flat.min()), float(flat.max())))  # fmt: skip


def _expected(law: Law, theta: Array, flops: float, sd: float) -> float:
    """Mean loss when ln N is normal around ln N*, over nodes of the distribution."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    best = float(law.log_optimum(theta, np.array([flops]))[0, 0])
    n = best + np.clip(nodes * sd, -LARGEST, LARGEST)
    d = np.log(flops / 6) - n
    return float(np.exp(law.log_loss(theta, Points(n=n, d=d, u=d))[0][0]) @ weights / weights.sum())


def _theta(law: Law, c: Mapping[str, float]) -> Array:
    return law.theta({k: np.array([c[k]], float) for k in law.names}, ORIGIN)
