"""L = [(Nc/N)^(alpha_N/alpha_D) + Dc/D]^alpha_D: no floor, the two terms share one exponent.

Source: Kaplan et al. 2020, arXiv:2001.08361, eq. 1.5; there N leaves embeddings out.
"""

from collections.abc import Mapping

import numpy as np

from fitting.laws.numeric import numeric_curvature, numeric_log_optimum
from fitting.laws.protocol import Array, Centre, Law, Points

EXPONENTS = np.geomspace(0.02, 0.6, 10)


class Kaplan:
    """theta = (p, q, alpha_N, alpha_D): ln L = alpha_D ln(e^((p - alpha_N n)/alpha_D) + e^((q - alpha_D d)/alpha_D))."""

    name = "kaplan"
    names: tuple[str, ...] = ("Nc", "Dc", "alpha_N", "alpha_D")
    essential: tuple[str, ...] = ("alpha_N", "alpha_D")

    def log_loss(self, theta: Array, x: Points) -> tuple[Array, Array]:
        p, q, a_n, a_d = theta.T[:, :, None]
        t_n, t_d = (p - a_n * x.n) / a_d, q / a_d - x.d
        top = np.maximum(t_n, t_d)
        e_n, e_d = np.exp(t_n - top), np.exp(t_d - top)
        total = e_n + e_d
        lse, s_n, s_d = top + np.log(total), e_n / total, e_d / total
        by_ad = lse - s_n * t_n - s_d * q / a_d
        return a_d * lse, np.stack([s_n, s_d, -s_n * x.n, by_ad], axis=1)

    def curvature(self, theta: Array, x: Points, slope: Array) -> Array:
        law: Law = self
        return numeric_curvature(law, theta, x, slope)

    def starts(self, x: Points, log_loss: Array) -> Array:  # noqa: ARG002  # centred
        """Half of the loss from each term at the centre."""
        mid = float(log_loss.mean())
        rows = [
            [mid - a_d * np.log(2) + dp, mid - a_d * np.log(2) - dp, a_n, a_d]
            for a_n in EXPONENTS for a_d in EXPONENTS for dp in (-0.2, 0.0, 0.2)
        ]  # fmt: skip
        return np.array(rows)

    def bounds(self, x: Points, log_loss: Array) -> Array:  # noqa: ARG002  # centred
        """Exponents from .01: below, 1,000 times the size is worth less than 7 % of the loss, and
        Nc = e^(p/alpha_N) leaves the range of numbers."""
        mid = float(log_loss.mean())
        return np.array([[mid - 20, mid - 20, 0.01, 0.01], [mid + 5, mid + 5, 3.0, 3.0]])

    def coefficients(self, theta: Array, centre: Centre) -> dict[str, Array]:
        p, q, a_n, a_d = theta.T
        Nc, Dc = np.exp(p / a_n + centre.log_n), np.exp(q / a_d + centre.log_d)
        return {"Nc": Nc, "Dc": Dc, "alpha_N": a_n, "alpha_D": a_d}

    def theta(self, coefficients: Mapping[str, Array], centre: Centre) -> Array:
        Nc, Dc, a_n, a_d = (np.atleast_1d(coefficients[n]).astype(float) for n in self.names)
        p, q = a_n * (np.log(Nc) - centre.log_n), a_d * (np.log(Dc) - centre.log_d)
        return np.stack([p, q, a_n, a_d], axis=1)

    def log_optimum(self, theta: Array, flops: Array) -> Array:
        law: Law = self
        return numeric_log_optimum(law, theta, flops)
