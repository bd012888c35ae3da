"""L = exp(s N^q + S) + exp(B N^b + Q) D^(-exp(A N^a + E)): the data term's exponent moves with N.

Nine parameters; with good data it extrapolates several times better than the additive form, with
few it is a ridge. Source: Farseer, arXiv:2506.10972, eq. 1.

theta = (s', q, S', B', b, Q', A', a, E'): levels and slopes at the centre instead of the published
s, S, ..., because s N^q + S is level + slope (N^q - 1)/q, smooth through q = 0.
"""

from collections.abc import Mapping

import numpy as np

from fitting.laws.chinchilla import Chinchilla
from fitting.laws.numeric import numeric_curvature, numeric_log_optimum
from fitting.laws.protocol import Array, Centre, Law, Points

POWERS = (-0.3, -0.05, 0.1)  # of N inside the exponentials
EVERY = 5  # of the additive law's starts
SMALL = 1e-6


class Farseer:
    """Nine coefficients (alpha, beta: their a, b), none essential: only their predictions are."""

    name = "farseer"
    names: tuple[str, ...] = ("s", "q", "S", "B", "beta", "Q", "A", "alpha", "E")
    essential: tuple[str, ...] = ()

    def log_loss(self, theta: Array, x: Points) -> tuple[Array, Array]:
        s, q, S, B, b, Q, A, a, E = theta.T[:, :, None]
        (h_q, d_q), (h_b, d_b), (h_a, d_a) = (_bent(k, x.n) for k in (q, b, a))
        log_d, at_centre = x.d + x.centre.log_d, _safe_exp(E) * x.centre.log_d
        pull = np.exp(np.clip(E + A * h_a, -40, 4)) * log_d
        t_n = np.clip(S + s * h_q, -60, 60)
        t_d = np.clip(Q + B * h_b - pull + at_centre, -60, 60)
        top = np.maximum(t_n, t_d)
        e_n, e_d = np.exp(t_n - top), np.exp(t_d - top)
        p_n, p_d = e_n / (e_n + e_d), e_d / (e_n + e_d)
        J = [p_n * h_q, p_n * s * d_q, p_n, p_d * h_b, p_d * B * d_b, p_d,
             -p_d * pull * h_a, -p_d * pull * A * d_a, p_d * (at_centre - pull)]  # fmt: skip
        return top + np.log(e_n + e_d), np.stack(np.broadcast_arrays(*J), axis=1)

    def curvature(self, theta: Array, x: Points, slope: Array) -> Array:
        law: Law = self
        return numeric_curvature(law, theta, x, slope)

    def starts(self, x: Points, log_loss: Array) -> Array:
        """The additive law's starts: E + A N^-alpha matched in level and slope at the centre."""
        rows = []
        for e, a, b, alpha, beta in Chinchilla().starts(x, log_loss)[::EVERY]:
            level = np.logaddexp(e, a)
            slope = -alpha * np.exp(a - level)
            rows += [[slope, q, level, 0.0, 0.1, b, 0.0, 0.1, np.log(beta)] for q in POWERS]
        return np.array(rows)

    def bounds(self, x: Points, log_loss: Array) -> Array:  # noqa: ARG002  # centred
        mid = float(log_loss.mean())
        high = [3, 1.5, mid + 5, 5, 1.5, mid + 5, 2, 1.5, 2]
        return np.array([[-3, -1.5, mid - 20, -5, -1.5, mid - 25, -2, -1.5, -8], high], float)

    def coefficients(self, theta: Array, centre: Centre) -> dict[str, Array]:
        s, q, S, B, b, Q, A, a, E = theta.T
        (s, S), (B, Q0), (A, E0) = (
            _published(*v, centre.log_n) for v in ((s, q, S), (B, b, Q), (A, a, E))
        )
        Q0 = Q0 + _safe_exp(E) * centre.log_d
        return {"s": s, "q": q, "S": S, "B": B, "beta": b, "Q": Q0, "A": A, "alpha": a, "E": E0}

    def theta(self, coefficients: Mapping[str, Array], centre: Centre) -> Array:
        s, q, S, B, b, Q, A, a, E = (
            np.atleast_1d(coefficients[n]).astype(float) for n in self.names
        )
        (s, S), (B, Q), (A, E) = (
            (v * k * np.exp(k * centre.log_n), level + v * np.exp(k * centre.log_n))
            for v, k, level in ((s, q, S), (B, b, Q), (A, a, E))
        )
        return np.stack([s, q, S, B, b, Q - _safe_exp(E) * centre.log_d, A, a, E], axis=1)

    def log_optimum(self, theta: Array, flops: Array) -> Array:
        law: Law = self
        return numeric_log_optimum(law, theta, flops)


def _bent(k: Array, n: Array) -> tuple[Array, Array]:
    """(e^(k n) - 1)/k and its derivative in k, smooth through k = 0."""
    kn = np.clip(k * n, -40, 40)
    safe = np.where(np.abs(k) < SMALL, 1.0, k)
    value = np.where(np.abs(k) < SMALL, n * (1 + kn / 2), np.expm1(kn) / safe)
    return value, np.where(np.abs(k) < SMALL, n * n / 2, (n * np.exp(kn) - value) / safe)


def _safe_exp(E: Array) -> Array:
    """Some samples of a ridge have an exponent that no float holds; they predict nonsense anyway."""
    return np.asarray(np.exp(np.minimum(E, 300.0)))


def _published(slope: Array, power: Array, level: Array, mid: float) -> tuple[Array, Array]:
    """Factor and constant of factor N^power + constant."""
    power = np.where(np.abs(power) < SMALL, SMALL, power)
    return slope / power * np.exp(-power * mid), level - slope / power
