"""From loss to a downstream score: a sigmoid, or Gadre's exponential of the error.

    accuracy = a / (1 + e^(-k (L - L0))) + b     two steps: bits/byte(N, D), then this; k < 0
    error    = eps - k e^(-gamma L)

Sources: OLMo ladder, arXiv:2412.04403, eq. 2; Gadre et al. 2024, arXiv:2403.08540, eq. 5.
"""

from dataclasses import dataclass

import numpy as np

from fitting.errors import RefusalError
from fitting.measurements import Array
from fitting.separable import fit_separable

MIN_POINTS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Sigmoid:
    """Accuracy of a loss; b is chance, a + b the ceiling."""

    a: float
    b: float
    k: float
    L0: float
    residual_sd: float

    def accuracy(self, loss: Array | float) -> Array:
        return np.asarray(self.a * _logistic(np.asarray(loss, float), self.k, self.L0) + self.b)


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorLaw:
    """Top-1 error of a loss; eps is the error of chance."""

    eps: float
    k: float
    gamma: float
    residual_sd: float

    def error(self, loss: Array | float) -> Array:
        return np.asarray(self.eps - self.k * np.exp(-self.gamma * np.asarray(loss, float)))


def fit_sigmoid(loss: Array, accuracy: Array) -> Sigmoid:
    """Least-squares sigmoid through (loss, accuracy), each (R,).

    Raises:
        RefusalError: fewer than six points, or accuracies that do not differ.
    """
    L, y = _checked(loss, accuracy)
    spread = max(float(np.ptp(L)), 1e-6)

    def basis(q: Array) -> Array:
        return np.stack([_logistic(L, -np.exp(q[0]), q[1]), np.ones_like(L)], axis=1)

    slopes = np.log(np.array([1.0, 3.0, 10.0, 30.0]) / spread)
    middles = np.linspace(L.min() - spread / 2, L.max() + spread / 2, 9)
    found = fit_separable(basis, y, [list(slopes), list(middles)])
    (a, b), (k, L0) = found.linear, found.nonlinear
    return Sigmoid(a=float(a), b=float(b), k=-float(np.exp(k)), L0=float(L0),
                   residual_sd=float(np.std(found.residuals)))  # fmt: skip


def fit_error(loss: Array, error: Array) -> ErrorLaw:
    """Least-squares exponential through (loss, error), each (R,); raises as `fit_sigmoid`."""
    L, y = _checked(loss, error)

    def basis(q: Array) -> Array:
        return np.stack([np.ones_like(L), -np.exp(-np.exp(q[0]) * L)], axis=1)

    found = fit_separable(basis, y, [list(np.log([0.1, 0.3, 1.0, 3.0]))])
    return ErrorLaw(eps=float(found.linear[0]), k=float(found.linear[1]),
                    gamma=float(np.exp(found.nonlinear[0])),
                    residual_sd=float(np.std(found.residuals)))  # fmt: skip


def _checked(loss: Array, score: Array) -> tuple[Array, Array]:
    L, y = np.asarray(loss, float), np.asarray(score, float)
    if len(L) < MIN_POINTS or len(L) != len(y):
        raise RefusalError(f"a downstream law needs {MIN_POINTS} pairs of loss and score; got {len(L)} and {len(y)}", code="too_few_points")  # fmt: skip
    if np.ptp(y) == 0 or np.ptp(L) == 0:
        raise RefusalError("all losses or all scores are equal: nothing to fit", code="equal_losses")  # fmt: skip
    return L, y


def _logistic(L: Array, k: float, L0: float) -> Array:
    return np.asarray(1 / (1 + np.exp(np.clip(-k * (L - L0), -500, 500))))
