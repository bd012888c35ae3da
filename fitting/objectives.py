"""What a fit minimises, by name. A number without the name of its objective means nothing.

    lad      sum |ln L^ - ln L|
    huber    sum of Huber(delta) of ln L^ - ln L, quadratic within delta: delta^2 h(r / delta)
    log_mse  mean (ln L^ - ln L)^2
    mse      mean (L^ - L)^2

All are summed inside the optimiser, in units of delta: a mean of 1e-3 squared meets absolute
gradient tolerances long before the optimum (Besiroglu et al. 2024, arXiv:2404.10102).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitting.errors import InputError

Array = NDArray[np.float64]

NAMES = ("huber", "lad", "log_mse", "mse")
PUBLISHED_DELTA = 1e-3  # of the residual of ln L; the published fits' choice
LAD_DELTA = 1e-8  # Huber this narrow is LAD to eight figures
SD_OF_MAD = 1.4826  # of a normal: its standard deviation over its median absolute deviation


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """`delta` is the residual [of ln L] where Huber turns linear; unused by the MSEs."""

    name: str = "huber"
    delta: float = PUBLISHED_DELTA

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise InputError(
                f"objective must be one of {', '.join(NAMES)}; got {self.name!r}", field="objective"
            )
        if not (np.isfinite(self.delta) and self.delta > 0):
            raise InputError(
                f"delta must be positive; got {self.delta} (a residual of ln L, such as 1e-3)",
                field="delta",
            )

    @property
    def robust(self) -> bool:
        """Whether one bad run has bounded influence."""
        return self.name in {"huber", "lad"}

    def stages(self) -> tuple[float, ...]:
        """Deltas to pass through: each optimum starts the next, the last is the objective."""
        if not self.robust:
            return (1.0,)
        last = LAD_DELTA if self.name == "lad" else self.delta
        wider = [d for d in (3e-2, 3e-3, 3e-4, 3e-5, 3e-6, 3e-7) if d > 2 * last]
        return (*wider, last)

    def terms(
        self, f: Array, y: Array, delta: float, censored: NDArray[np.bool_] | None = None
    ) -> tuple[Array, Array, Array, Array]:
        """Per point: value, slope and curvature in f = ln L^, and the weight of its majoriser.

        Args:
            f, y: predicted and observed ln L, broadcastable.
            delta: one of `stages`.
            censored: points whose loss is only an upper bound: no penalty below it.
        """
        if self.name == "mse":
            return _one_sided(_raw_square(f, y), f - y, censored)
        u = (f - y) / delta
        if self.name == "log_mse":
            one = np.ones_like(u)
            return _one_sided((0.5 * u * u, u, one, one), u, censored)
        size = np.abs(u)
        inside = size <= 1
        value = np.where(inside, 0.5 * u * u, size - 0.5)
        irls = 1 / np.maximum(size, 1)
        d2 = delta**2
        parts = (value, np.clip(u, -1, 1) / delta, inside / d2, irls / d2)
        return _one_sided(parts, u, censored)

    def reported(self, total: float, n: int) -> float:
        """The published scale of a sum of `terms` values at the last stage."""
        if self.name == "lad":
            return total * LAD_DELTA
        return total * self.delta**2 if self.name == "huber" else 2 * total / n


Terms = tuple[Array, Array, Array, Array]


def _raw_square(f: Array, y: Array) -> Terms:
    """(e^f - e^y)^2 / 2 and its derivatives in f; the majoriser keeps e^2f alone."""
    prediction = np.exp(np.minimum(f, 50.0))
    r = prediction - np.exp(y)
    square = prediction**2
    return 0.5 * r * r, r * prediction, square + r * prediction, square


def _one_sided(parts: Terms, r: Array, censored: NDArray[np.bool_] | None) -> Terms:
    if censored is None:
        return parts
    free = censored & (r < 0)
    value, slope, curvature, weight = (np.where(free, 0.0, p) for p in parts)
    return value, slope, curvature, weight


def noise_delta(residuals: Array) -> float:
    """Huber's delta for these residuals: 1.345 robust standard deviations (95 % efficient)."""
    return max(1.345 * robust_sd(residuals), 1e-6)


def robust_sd(residuals: Array) -> float:
    """By the median absolute deviation, which a few bad ones do not move."""
    return float(SD_OF_MAD * np.median(np.abs(residuals - np.median(residuals))))
