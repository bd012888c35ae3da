"""Over-training: L = E + (a M^eta + b M^-eta) C^-eta with M = D/N, the additive law with one exponent.

In N and D: L = E + a 6^-eta N^(-2 eta) + b 6^-eta D^(-2 eta). Source: Gadre et al. 2024,
arXiv:2403.08540, eq. 4; their fits state it as a N^eta' + b 6^(eta'/2) D^eta' + E, eta' = -2 eta.
"""

from collections.abc import Mapping

import numpy as np

from fitting.laws.chinchilla import Chinchilla
from fitting.laws.protocol import Array, Centre, Points

_FULL = Chinchilla()


class Gadre:
    """A, B, eta are a, b, eta' of their fits: L = A N^eta + B 6^(eta/2) D^eta + E, eta < 0."""

    name = "gadre"
    names: tuple[str, ...] = ("E", "A", "B", "eta")
    essential: tuple[str, ...] = ("eta",)

    def log_loss(self, theta: Array, x: Points) -> tuple[Array, Array]:
        """theta = (ln E, ln of the N term and of the D term at the centre, -eta)."""
        f, J = _FULL.log_loss(_widened(theta), x)
        return f, np.concatenate([J[:, :3], J[:, 3:4] + J[:, 4:5]], axis=1)

    def curvature(self, theta: Array, x: Points, slope: Array) -> Array:
        tie = np.zeros((5, 4))
        tie[[0, 1, 2, 3, 4], [0, 1, 2, 3, 3]] = 1
        return np.asarray(tie.T @ _FULL.curvature(_widened(theta), x, slope) @ tie)

    def starts(self, x: Points, log_loss: Array) -> Array:
        full = _FULL.starts(x, log_loss)
        return full[np.isclose(full[:, 3], full[:, 4]), :4]

    def bounds(self, x: Points, log_loss: Array) -> Array:
        return _FULL.bounds(x, log_loss)[:, :4]

    def coefficients(self, theta: Array, centre: Centre) -> dict[str, Array]:
        c = _FULL.coefficients(_widened(theta), centre)
        b = c["B"] * 6 ** (c["alpha"] / 2)
        return {"E": c["E"], "A": c["A"], "B": b, "eta": -c["alpha"]}

    def theta(self, coefficients: Mapping[str, Array], centre: Centre) -> Array:
        E, a, b, eta = (np.atleast_1d(coefficients[n]).astype(float) for n in self.names)
        full = {"E": E, "A": a, "B": b * 6 ** (eta / 2), "alpha": -eta, "beta": -eta}
        return _FULL.theta(full, centre)[:, :4]

    def log_optimum(self, theta: Array, flops: Array) -> Array:
        return _FULL.log_optimum(_widened(theta), flops)


def _widened(theta: Array) -> Array:
    return np.concatenate([theta, theta[:, 3:4]], axis=1)
