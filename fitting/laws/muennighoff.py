"""The additive law with repeated data: what the r-th repetition of a token or parameter is worth.

    D' = U + U R_D* (1 - e^(-R_D/R_D*)),   R_D = D/U - 1
    U_N = min(N*(U), N),  R_N = N/U_N - 1, N' alike with R_N*
    L = E + A/N'^alpha + B/D'^beta

N*(U) is the size that is compute-optimal for U tokens. Source: Muennighoff et al. 2023,
arXiv:2305.16264, sec. 3.1. There alpha = beta; here too, because the data that repeat do not
separate them. R_D* lies on a ridge in the published runs: report its profile, not its value.
"""

from collections.abc import Mapping

import numpy as np

from fitting.laws.chinchilla import Chinchilla
from fitting.laws.numeric import numeric_curvature, numeric_log_optimum
from fitting.laws.protocol import Array, Centre, Law, Points

R_STARTS = tuple(
    (r_d, r_n) for r_d in (1.0, 5.0, 15.0, 50.0, 200.0) for r_n in (1.0, 2.0, 5.0, 30.0)
)
LEAST_R, MOST_R = 1e-2, 1e10


class Muennighoff:
    """Six coefficients; `R_D` and `R_N` are the half-lives R_D*, R_N* of repetition."""

    name = "muennighoff"
    names: tuple[str, ...] = ("E", "A", "B", "alpha", "R_D", "R_N")
    essential: tuple[str, ...] = ("alpha",)

    def log_loss(self, theta: Array, x: Points) -> tuple[Array, Array]:
        """theta = (ln E, a, b, alpha, ln R_D*, ln R_N*), a and b at the centre."""
        e, a, b, alpha, log_rd, log_rn = theta.T[:, :, None]
        # N*(U) has G = (A/B)^(1/2 alpha) and C/6 = N D: ln N* = ln U + (ln A - ln B) / alpha.
        log_ab = a - b + alpha * (x.centre.log_n - x.centre.log_d)
        raw_opt = x.u + x.centre.log_d + log_ab / alpha - x.centre.log_n
        more = x.n > raw_opt
        u_n = np.where(more, raw_opt, x.n)
        gain_d, by_rd, _ = _repeated(x.d - x.u, log_rd)
        gain_n, by_rn, by_ratio = _repeated(x.n - u_n, log_rn)
        t_a, t_b = a - alpha * (u_n + gain_n), b - alpha * (x.u + gain_d)
        top = np.maximum(np.maximum(t_a, t_b), e)
        p_e, p_a, p_b = np.exp(e - top), np.exp(t_a - top), np.exp(t_b - top)
        total = p_e + p_a + p_b
        p_e, p_a, p_b = p_e / total, p_a / total, p_b / total
        # The effective size moves with ln N*(U) by 1 - d gain / d ratio, where U_N is N*(U).
        through = np.where(more, -alpha * (1 - by_ratio), 0.0) * p_a
        shift = (x.centre.log_n - x.centre.log_d) / alpha - log_ab / alpha**2
        J = np.stack([
            p_e,
            p_a + through / alpha,
            p_b - through / alpha,
            -p_a * (u_n + gain_n) - p_b * (x.u + gain_d) + through * shift,
            -alpha * p_b * by_rd,
            -alpha * p_a * by_rn,
        ], axis=1)  # fmt: skip
        return top + np.log(total), J

    def curvature(self, theta: Array, x: Points, slope: Array) -> Array:
        law: Law = self
        return numeric_curvature(law, theta, x, slope)

    def starts(self, x: Points, log_loss: Array) -> Array:
        """The additive law's starts with alpha = beta, times a few pairs of half-lives."""
        additive = Chinchilla().starts(x, log_loss)
        additive = additive[np.isclose(additive[:, 3], additive[:, 4])]
        pairs = np.log(np.array(R_STARTS))
        rows = np.repeat(additive[:, :4], len(pairs), axis=0)
        return np.concatenate([rows, np.tile(pairs, (len(additive), 1))], axis=1)

    def bounds(self, x: Points, log_loss: Array) -> Array:
        low, high = Chinchilla().bounds(x, log_loss)
        ends = np.log([LEAST_R, MOST_R])
        return np.array([[*low[:4], ends[0], ends[0]], [*high[:4], ends[1], ends[1]]])

    def coefficients(self, theta: Array, centre: Centre) -> dict[str, Array]:
        e, a, b, alpha, rd, rn = theta.T
        A, B = np.exp(a + alpha * centre.log_n), np.exp(b + alpha * centre.log_d)
        return {
            "E": np.exp(e),
            "A": A,
            "B": B,
            "alpha": alpha,
            "R_D": np.exp(rd),
            "R_N": np.exp(rn),
        }

    def theta(self, coefficients: Mapping[str, Array], centre: Centre) -> Array:
        E, A, B, alpha, rd, rn = (np.atleast_1d(coefficients[n]).astype(float) for n in self.names)
        a, b = np.log(A) - alpha * centre.log_n, np.log(B) - alpha * centre.log_d
        return np.stack([np.log(E), a, b, alpha, np.log(rd), np.log(rn)], axis=1)

    def log_optimum(self, theta: Array, flops: Array) -> Array:
        """Without repetition (U = D); `fitting.recommend` searches where U is less."""
        law: Law = self
        return numeric_log_optimum(law, theta, flops)


def _repeated(log_ratio: Array, log_r: Array) -> tuple[Array, Array, Array]:
    """ln(1 + r (1 - e^(-(ratio-1)/r))) and its derivatives in ln r and in ln ratio."""
    ratio, r = np.exp(np.minimum(log_ratio, 50.0)), np.exp(log_r)
    k = (ratio - 1) / r
    saturated = -np.expm1(-k)  # 1 - e^-k
    worth = 1 + r * saturated
    return np.log(worth), r * (saturated - k * np.exp(-k)) / worth, ratio * np.exp(-k) / worth
