"""L = E + A N^-alpha + B D^-beta, the additive law.

Sources: [H22] Hoffmann et al. 2022, arXiv:2203.15556, sec. 3.3, eq. 2-4.
         [B24] Besiroglu et al. 2024, arXiv:2404.10102 (what went wrong in [H22]'s fit).

theta = (ln E, ln of the N term and of the D term at the centre, alpha, beta): with raw ln A and
alpha, which are almost collinear, optimisers crawl and stop early [B24].
"""

from collections.abc import Mapping

import numpy as np

from fitting.laws.protocol import Array, Centre, Points

FLOOR_SHARES = (0.02, 0.3, 0.5, 0.65, 0.75, 0.85, 0.92, 0.97)  # E as a share of the least loss
EXPONENTS = np.geomspace(0.05, 1.2, 12)
MAX_RANKED = 500  # measurements that rank the starts; the fit itself uses all


class Chinchilla:
    """Five positive coefficients; E in the unit of the loss."""

    name = "chinchilla"
    names: tuple[str, ...] = ("E", "A", "B", "alpha", "beta")
    essential: tuple[str, ...] = ("alpha", "beta")

    def log_loss(self, theta: Array, x: Points) -> tuple[Array, Array]:
        f, p_e, p_a, p_b = _shares(theta, x)
        return f, np.stack([p_e, p_a, p_b, -p_a * x.n, -p_b * x.d], axis=1)

    def curvature(self, theta: Array, x: Points, slope: Array) -> Array:
        """For f = logsumexp(t): f'' = sum_k p_k t_k' t_k'^T - J J^T."""
        _, J = self.log_loss(theta, x)
        H = -(J * slope[:, None, :]) @ J.swapaxes(1, 2)
        p_e, p_a, p_b = (J[:, k] * slope for k in range(3))
        H[:, 0, 0] += p_e.sum(axis=1)
        for p, z, k in ((p_a, x.n, 1), (p_b, x.d, 2)):
            one, two, three = (p @ np.stack([np.ones_like(z), z, z * z], axis=1)).T
            H[:, k, k] += one
            H[:, k, k + 2] -= two
            H[:, k + 2, k] -= two
            H[:, k + 2, k + 2] += three
        return H

    def starts(self, x: Points, log_loss: Array) -> Array:
        """For each (E, alpha, beta) of a grid the linear least-squares A and B."""
        take = np.linspace(0, len(x.n) - 1, min(len(x.n), MAX_RANKED)).astype(int)
        loss = np.exp(log_loss[take])
        alpha, beta = (g.ravel() for g in np.meshgrid(EXPONENTS, EXPONENTS))
        X = np.exp(-alpha[:, None] * x.n[take]) / loss  # (G, R), relative residuals
        Z = np.exp(-beta[:, None] * x.d[take]) / loss
        xx, zz, xz = (X * X).sum(1), (Z * Z).sum(1), (X * Z).sum(1)
        rows = []
        for E in np.array(FLOOR_SHARES) * loss.min():
            rest = 1 - E / loss
            xy, zy = X @ rest, Z @ rest
            det = np.maximum(xx * zz - xz**2, 1e-12 * xx * zz)
            A = np.maximum((zz * xy - xz * zy) / det, 1e-3)
            B = np.maximum((xx * zy - xz * xy) / det, 1e-3)
            e = np.full_like(A, np.log(E))
            rows.append(np.stack([e, np.log(A), np.log(B), alpha, beta], axis=1))
        return np.concatenate(rows)

    def bounds(self, x: Points, log_loss: Array) -> Array:  # noqa: ARG002  # centred
        """E in (1e-4, 1) of the least loss; terms within e^+-25; exponents in (1e-3, 5)."""
        least = float(log_loss.min())
        low = [least - 9.2, least - 25, least - 25, 1e-3, 1e-3]
        return np.array([low, [least, least + 25, least + 25, 5.0, 5.0]])

    def coefficients(self, theta: Array, centre: Centre) -> dict[str, Array]:
        e, a, b, alpha, beta = theta.T
        A, B = np.exp(a + alpha * centre.log_n), np.exp(b + beta * centre.log_d)
        return {"E": np.exp(e), "A": A, "B": B, "alpha": alpha, "beta": beta}

    def theta(self, coefficients: Mapping[str, Array], centre: Centre) -> Array:
        E, A, B, alpha, beta = (np.atleast_1d(coefficients[n]).astype(float) for n in self.names)
        with np.errstate(divide="ignore"):
            a, b = np.log(A) - alpha * centre.log_n, np.log(B) - beta * centre.log_d
            return np.stack([np.log(E), a, b, alpha, beta], axis=1)

    def log_optimum(self, theta: Array, flops: Array) -> Array:
        """[H22] eq. 4: N* = G (C/6)^(beta/(alpha+beta)), G = (alpha A/(beta B))^(1/(alpha+beta))."""
        _, a, b, alpha, beta = theta.T[:, :, None]
        log_g = (np.log(alpha / beta) + a - b) / (alpha + beta)
        return np.asarray(log_g + beta / (alpha + beta) * np.log(flops / 6))


def _shares(theta: Array, x: Points) -> tuple[Array, Array, Array, Array]:
    """ln of the sum, and what each of the three terms contributes to it; each (B, R)."""
    e, a, b, alpha, beta = theta.T[:, :, None]
    t_a, t_b = a - alpha * x.n, b - beta * x.d
    top = np.maximum(np.maximum(t_a, t_b), e)
    p_e, p_a, p_b = np.exp(e - top), np.exp(t_a - top), np.exp(t_b - top)
    total = p_e + p_a + p_b
    return top + np.log(total), p_e / total, p_a / total, p_b / total
