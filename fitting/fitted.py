"""A fitted law: everything a later recommendation needs, and its JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fitting.errors import Note
from fitting.laws.protocol import ORIGIN, Array, Law, Points
from fitting.laws.registry import law_named

KEPT_SAMPLES = 500  # of the bootstrap, in `Fit.to_dict`


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """A fitted law. Everything a later recommendation needs is in it and in `to_dict`."""

    law: str
    objective: str
    delta: float
    n_measurements: int
    coefficients: dict[str, float]
    standard_errors: dict[str, float]
    intervals: dict[str, tuple[float, float]]  # 90 %
    exponents: dict[str, float]  # N* ~ C^a, D* ~ C^b
    objective_value: float
    residual_sd: float  # robust, of ln L
    diagnostics: dict[str, Any]
    warnings: tuple[Note, ...]
    ranges: dict[str, tuple[float, float]]  # of the measurements: n_params, n_tokens, flops
    samples: dict[str, NDArray[np.float64]] = field(default_factory=dict)  # coefficients, each (B,)
    sample_origin: str = "covariance"  # or a bootstrap scheme
    loss_unit: str = "nats/token"
    n_convention: str = "multiplied"
    source: str = ""

    def predict(self, N: Any, D: Any, U: Any = None) -> Array:
        """Loss at N [params], D and unique U [tokens], broadcast."""
        shape = np.broadcast_shapes(np.shape(N), np.shape(D))
        theta = self.law_object.theta(_as_arrays(self.coefficients), ORIGIN)
        log_loss = self.law_object.log_loss(theta, Points.at(N, D, U))[0][0]
        return np.asarray(np.exp(log_loss).reshape(shape))

    def predict_samples(self, N: Any, D: Any) -> Array:
        """Loss at K points for every sample, (B, K)."""
        return np.exp(self.law_object.log_loss(self.sample_theta, Points.at(N, D))[0])

    def optimum(self, flops: Any) -> tuple[Array, Array]:
        """N* [params] and D* [tokens] with 6 N D = `flops`."""
        C = np.atleast_1d(np.asarray(flops, float))
        theta = self.law_object.theta(_as_arrays(self.coefficients), ORIGIN)
        N = np.exp(self.law_object.log_optimum(theta, C)[0]).reshape(np.shape(flops))
        return N, np.asarray(flops) / (6 * N)

    def optimum_samples(self, flops: Any) -> Array:
        """ln N* for every sample and budget, (B, K); NaN where a sample has no optimum."""
        C = np.atleast_1d(np.asarray(flops, float))
        return self.law_object.log_optimum(self.sample_theta, C)

    @property
    def law_object(self) -> Law:
        return law_named(self.law)

    @property
    def sample_theta(self) -> Array:
        return self.law_object.theta(self.samples, ORIGIN)

    def to_dict(self) -> dict[str, Any]:
        """JSON as DESIGN.md section 5 has it; `samples` are thinned to `KEPT_SAMPLES`."""
        plain = ("law", "objective", "delta", "n_measurements", "coefficients", "exponents",
                 "standard_errors", "intervals", "objective_value", "residual_sd", "diagnostics",
                 "ranges", "sample_origin", "loss_unit", "n_convention", "source")  # fmt: skip
        out = {name: getattr(self, name) for name in plain}
        out["intervals"] = {k: list(v) for k, v in self.intervals.items()}
        out["ranges"] = {k: list(v) for k, v in self.ranges.items()}
        out["warnings"] = [n.to_dict() for n in self.warnings]
        step = max(1, -(-len(next(iter(self.samples.values()))) // KEPT_SAMPLES))
        out["samples"] = {k: v[::step].tolist() for k, v in self.samples.items()}
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        values = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        values["intervals"] = {k: tuple(v) for k, v in data["intervals"].items()}
        values["ranges"] = {k: tuple(v) for k, v in data["ranges"].items()}
        values["warnings"] = tuple(Note(**n) for n in data["warnings"])
        values["samples"] = {k: np.array(v, float) for k, v in data["samples"].items()}
        return cls(**values)


def _as_arrays(coefficients: Mapping[str, float]) -> dict[str, Array]:
    return {k: np.array([v]) for k, v in coefficients.items()}
