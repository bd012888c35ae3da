"""One smooth valley for all isoFLOP curves: ln(L - E) = l - s c + K v^2 + G v^3, v = ln N - mu - a c.

    c   ln(C/6), centred          a   exponent of N*(C)
    v   distance from the valley   s   exponent of L*(C) - E
    E   the floor, from 0 (a power law in C) up to the least loss measured

The local law of a small sweep: it assumes nothing about N or D far from the measured optimum, and
its bottom is E + const C^-s, the form in which losses of large runs are forecast (OpenAI 2023,
arXiv:2303.08774, sec. 3). The additive law has the same form with the valley's shape prescribed.
Seven parameters share all budgets, where separate parabolas spend three on each.

theta = (eps, ln L at the centre, s, mu, a, ln K, G), the last ones as they act on ln L there, which
the data know whatever the floor is: ln L = level + ln(eps + q e^(h/q)), q = 1 - eps,
h = -s c + K v^2 + G v^3. With raw E, L0 and s optimisers crawl along a ridge.
"""

from collections.abc import Mapping

import numpy as np

from fitting.errors import RefusalError
from fitting.isoflop import alike
from fitting.laws.protocol import Array, Centre, Points

EXPONENTS = np.linspace(0.1, 0.9, 9)  # of N*(C), the starts
FLOOR_SHARES = (0.0, 0.4, 0.7, 0.9)  # of the least loss, the starts
MAX_FLOOR = 0.97  # of the least loss
MIN_BUDGETS = 3  # the bottom's three coefficients; with fewer the floor is held at 0


class Frontier:
    """`L0`, `G`: reducible loss and optimal N where C/6 is 1; `curvature` and `skew` of the valley."""

    name = "frontier"
    names: tuple[str, ...] = ("E", "L0", "s", "G", "a", "curvature", "skew")
    essential: tuple[str, ...] = ("a", "curvature")

    def log_loss(self, theta: Array, x: Points) -> tuple[Array, Array]:
        v = _Valley(theta, x)
        J = np.stack(
            [v.by_eps, np.ones_like(v.h), *(v.by_h[:, None, :] * v.J).swapaxes(0, 1)], axis=1
        )
        return theta[:, 1:2] + np.log(v.total), J

    def curvature(self, theta: Array, x: Points, slope: Array) -> Array:
        v = _Valley(theta, x)
        curved = v.e / (v.q * v.total)
        H = np.zeros((len(theta), 7, 7))
        H[:, 0, 0] = (slope * (v.u**2 * curved - v.by_eps**2)).sum(axis=1)
        mixed = slope * v.by_h * (v.u / v.q - v.by_eps)
        H[:, 0, 2:] = H[:, 2:, 0] = (v.J @ mixed[:, :, None])[:, :, 0]
        bend = slope * (curved - v.by_h**2)
        H[:, 2:, 2:] = (v.J * bend[:, None, :]) @ v.J.swapaxes(1, 2)
        H[:, 2:, 2:] += v.curvature(slope * v.by_h)
        return H

    def starts(self, x: Points, log_loss: Array) -> Array:
        """For each exponent a and floor of a grid the least-squares parabola in v."""
        c, level = x.n + x.d, float(log_loss.mean())
        rows = []
        for eps in np.array(FLOOR_SHARES) * np.exp(log_loss.min() - level):
            q = 1 - eps
            y = q * np.log((np.exp(log_loss - level) - eps) / q)
            for a in EXPONENTS:
                v = x.n - a * c
                X = np.stack([np.ones_like(c), c, v, v * v], axis=1)
                b0, b1, b2, b3 = np.linalg.lstsq(X, y, rcond=None)[0]
                K = max(float(b3), 1e-3)
                mu = float(np.clip(-b2 / (2 * K), v.min() - 1, v.max() + 1))
                rows.append([eps, level + b0 - K * mu**2, -b1, mu, a, np.log(K), 0.0])
        return np.array(rows)

    def bounds(self, x: Points, log_loss: Array) -> Array:
        """The valley within e^3 of the measured sizes; its curvature at least 1e-4.

        Raises:
            RefusalError: `single_budget`.
        """
        reach = float(np.abs(x.n).max()) + 3
        mid = float(log_loss.mean())
        n_budgets = len(alike(x.n + x.d))
        if n_budgets < 2:
            raise RefusalError("the valley needs 2 budgets, or it knows of no exponent; got 1 (add "
                               "runs of another compute)", code="single_budget")  # fmt: skip
        top = MAX_FLOOR * float(np.exp(log_loss.min() - mid)) if n_budgets >= MIN_BUDGETS else 0.0
        low = [0.0, mid - 20, -1.0, -reach, -0.5, np.log(1e-4), -2.0]
        return np.array([low, [top, mid + 20, 2.0, reach, 1.5, np.log(20.0), 2.0]])

    def coefficients(self, theta: Array, centre: Centre) -> dict[str, Array]:
        eps, level, s, mu, a, k, skew = theta.T
        mid, q = centre.log_n + centre.log_d, 1 - eps
        L0, G = q * np.exp(level + s / q * mid), np.exp(mu + centre.log_n - a * mid)
        return {"E": eps * np.exp(level), "L0": L0, "s": s / q, "G": G, "a": a,
                "curvature": np.exp(k) / q, "skew": skew / q}  # fmt: skip

    def theta(self, coefficients: Mapping[str, Array], centre: Centre) -> Array:
        values = (np.atleast_1d(coefficients[n]).astype(float) for n in self.names)
        E, L0, s, G, a, K, skew = values
        mid = centre.log_n + centre.log_d
        reducible = L0 * np.exp(-s * mid)
        level, q = np.log(E + reducible), reducible / (E + reducible)
        mu = np.log(G) - centre.log_n + a * mid
        return np.stack([1 - q, level, s * q, mu, a, np.log(K * q), skew * q], axis=1)

    def log_optimum(self, theta: Array, flops: Array) -> Array:
        """The bottom of the valley."""
        return np.asarray(theta[:, 3:4] + theta[:, 4:5] * np.log(flops / 6))


class _Valley:
    """h, u = h/q, e^u, eps + q e^u and their first derivatives, (B, R); J (B, 5, R) of h."""

    def __init__(self, theta: Array, x: Points) -> None:
        eps, _, s, mu, a, k, self.skew = theta.T[:, :, None]
        self.q, self.K, self.c = 1 - eps, np.exp(k), x.n + x.d
        self.v = v = x.n - mu - a * self.c
        self.h = -s * self.c + self.K * v**2 + self.skew * v**3
        self.u = np.clip(self.h / self.q, -300.0, 300.0)  # a trial step may go far out
        self.e = np.exp(self.u)
        self.total = eps + self.q * self.e
        self.by_h = self.e / self.total
        self.by_eps = (1 - self.e + self.u * self.e) / self.total
        dv = 2 * self.K * v + 3 * self.skew * v**2
        self.J = np.stack(
            [-self.c * np.ones_like(v), -dv, -dv * self.c, self.K * v**2, v**3], axis=1
        )

    def curvature(self, slope: Array) -> Array:
        """sum_i slope_i (second derivative of h_i), (B, 5, 5)."""
        K, v, c = self.K, self.v, self.c
        bend = slope * (2 * K + 6 * self.skew * v)  # second derivative along v
        by_k, by_skew = slope * -2 * K * v, slope * -3 * v**2
        H = np.zeros((len(slope), 5, 5))
        H[:, 3, 3] = (slope * K * v**2).sum(axis=1)
        entries = {(1, 1): bend, (1, 2): bend * c, (2, 2): bend * c * c, (1, 3): by_k,
                   (2, 3): by_k * c, (1, 4): by_skew, (2, 4): by_skew * c}  # fmt: skip
        for (i, j), value in entries.items():
            H[:, i, j] = H[:, j, i] = value.sum(axis=1)
        return H
