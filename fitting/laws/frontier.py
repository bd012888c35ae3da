"""One smooth valley for all isoFLOP curves: ln L = l - s c + K v^2 + G v^3, v = ln N - mu - a c.

    c   ln(C/6), centred          a   exponent of N*(C)
    v   distance from the valley   s   exponent of L*(C): no floor E

The local law of a small sweep: it assumes nothing about N or D far from the measured optimum, and
its bottom is a power law in C, which is what a sweep far above its floor shows. Six parameters
share all budgets, where separate parabolas spend three on each.
"""

from collections.abc import Mapping

import numpy as np

from fitting.laws.protocol import Array, Centre, Points

EXPONENTS = np.linspace(0.1, 0.9, 9)  # of N*(C), the starts


class Frontier:
    """`L0`, `G`: loss and optimal N where C/6 is 1; `curvature` and `skew` of the valley."""

    name = "frontier"
    names: tuple[str, ...] = ("L0", "s", "G", "a", "curvature", "skew")
    essential: tuple[str, ...] = ("a", "curvature")

    def log_loss(self, theta: Array, x: Points) -> tuple[Array, Array]:
        level, s, mu, a, k, skew = theta.T[:, :, None]
        c, K = x.n + x.d, np.exp(k)
        v = x.n - mu - a * c
        f = level - s * c + K * v**2 + skew * v**3
        dv = 2 * K * v + 3 * skew * v**2
        one = np.ones_like(f)
        return f, np.stack([one, -c * one, -dv, -dv * c, K * v**2, v**3], axis=1)

    def curvature(self, theta: Array, x: Points, slope: Array) -> Array:
        _, _, mu, a, k, skew = theta.T[:, :, None]
        c, K = x.n + x.d, np.exp(k)
        v = x.n - mu - a * c
        bend = slope * (2 * K + 6 * skew * v)  # second derivative along v
        by_k, by_skew = slope * -2 * K * v, slope * -3 * v**2
        H = np.zeros((len(theta), 6, 6))
        H[:, 4, 4] = (slope * K * v**2).sum(axis=1)
        entries = {(2, 2): bend, (2, 3): bend * c, (3, 3): bend * c * c, (2, 4): by_k,
                   (3, 4): by_k * c, (2, 5): by_skew, (3, 5): by_skew * c}  # fmt: skip
        for (i, j), value in entries.items():
            H[:, i, j] = H[:, j, i] = value.sum(axis=1)
        return H

    def starts(self, x: Points, log_loss: Array) -> Array:
        """For each exponent a of a grid the least-squares parabola in v."""
        c = x.n + x.d
        rows = []
        for a in EXPONENTS:
            v = x.n - a * c
            X = np.stack([np.ones_like(c), c, v, v * v], axis=1)
            b0, b1, b2, b3 = np.linalg.lstsq(X, log_loss, rcond=None)[0]
            K = max(float(b3), 1e-3)
            mu = float(np.clip(-b2 / (2 * K), v.min() - 1, v.max() + 1))
            rows.append([b0 - K * mu**2, -b1, mu, a, np.log(K), 0.0])
        return np.array(rows)

    def bounds(self, x: Points, log_loss: Array) -> Array:
        """The valley within e^3 of the measured sizes; its curvature at least 1e-4."""
        reach = float(np.abs(x.n).max()) + 3
        mid = float(log_loss.mean())
        low = [mid - 20, -1.0, -reach, -0.5, np.log(1e-4), -2.0]
        return np.array([low, [mid + 20, 2.0, reach, 1.5, np.log(20.0), 2.0]])

    def coefficients(self, theta: Array, centre: Centre) -> dict[str, Array]:
        level, s, mu, a, k, skew = theta.T
        mid = centre.log_n + centre.log_d
        L0, G = np.exp(level + s * mid), np.exp(mu + centre.log_n - a * mid)
        return {"L0": L0, "s": s, "G": G, "a": a, "curvature": np.exp(k), "skew": skew}

    def theta(self, coefficients: Mapping[str, Array], centre: Centre) -> Array:
        L0, s, G, a, K, skew = (np.atleast_1d(coefficients[n]).astype(float) for n in self.names)
        mid = centre.log_n + centre.log_d
        level, mu = np.log(L0) - s * mid, np.log(G) - centre.log_n + a * mid
        return np.stack([level, s, mu, a, np.log(K), skew], axis=1)

    def log_optimum(self, theta: Array, flops: Array) -> Array:
        """The bottom of the valley."""
        return np.asarray(theta[:, 2:3] + theta[:, 3:4] * np.log(flops / 6))
