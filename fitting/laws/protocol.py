"""What a law is: adding one is one file beside this, and a line in `fitting.laws.registry`.

A law predicts f = ln L with its Jacobian, for B parameter vectors at once (bootstrap resamples
and starts are rows of one array). Parameters `theta` are the law's own, in centred logs, so that
no two of them are almost collinear; `coefficients` are the published ones.

Shapes: B parameter vectors, P parameters, R measurements.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fitting.measurements import Measurements

Array = NDArray[np.float64]
Coefficients = Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Centre:
    """What was subtracted from ln N and ln D; zero for published coefficients."""

    log_n: float = 0.0
    log_d: float = 0.0


ORIGIN = Centre()


@dataclass(frozen=True, kw_only=True, slots=True)
class Points:
    """Where a law is evaluated; each (R,) or broadcastable to it."""

    n: Array  # ln N - centre.log_n
    d: Array  # ln D - centre.log_d
    u: Array  # ln U - centre.log_d; equals d where nothing repeats
    centre: Centre = ORIGIN

    @classmethod
    def of(cls, m: Measurements, *, centre: Centre | None = None) -> "Points":
        """Measured points, centred on their mean unless told otherwise."""
        log_n, log_d = np.log(m.n_params), np.log(m.n_tokens)
        c = centre or Centre(log_n=float(log_n.mean()), log_d=float(log_d.mean()))
        unique = m.n_tokens if m.unique_tokens is None else m.unique_tokens
        log_u = np.minimum(np.log(unique), log_d)
        return cls(n=log_n - c.log_n, d=log_d - c.log_d, u=log_u - c.log_d, centre=c)

    @classmethod
    def at(cls, N: Array | float, D: Array | float, U: Array | float | None = None) -> "Points":
        """Arbitrary N [params], D and unique U [tokens], broadcast and uncentred."""
        n, d = np.broadcast_arrays(np.log(np.asarray(N, float)), np.log(np.asarray(D, float)))
        u = d if U is None else np.minimum(np.log(np.asarray(U, float)), d)
        return cls(n=n.ravel(), d=d.ravel(), u=np.broadcast_to(u, d.shape).ravel())

    def rows(self, index: NDArray[np.intp]) -> "Points":
        """Some of the points."""
        return Points(n=self.n[index], d=self.d[index], u=self.u[index], centre=self.centre)


class Law(Protocol):
    """Pure functions; instances carry no data."""

    name: str
    names: tuple[str, ...]  # of the published coefficients
    essential: tuple[str, ...]  # a coefficient on its bound means refusal; others only a warning

    def log_loss(self, theta: Array, x: Points) -> tuple[Array, Array]:
        """f (B, R) and its Jacobian (B, P, R) at theta (B, P)."""
        ...

    def curvature(self, theta: Array, x: Points, slope: Array) -> Array:
        """sum_i slope_i (second derivative of f_i), (B, P, P)."""
        ...

    def starts(self, x: Points, log_loss: Array) -> Array:
        """Data-driven starts (S, P)."""
        ...

    def bounds(self, x: Points, log_loss: Array) -> Array:
        """Lower and upper limits of theta, (2, P)."""
        ...

    def coefficients(self, theta: Array, centre: Centre) -> dict[str, Array]:
        """Published coefficients, each (B,)."""
        ...

    def theta(self, coefficients: Mapping[str, Array], centre: Centre) -> Array:
        """Inverse of `coefficients`, (B, P)."""
        ...

    def log_optimum(self, theta: Array, flops: Array) -> Array:
        """ln N*, (B, K), for K budgets [FLOP] with 6 N D = C; theta is uncentred."""
        ...
