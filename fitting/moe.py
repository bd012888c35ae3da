"""Mixtures of experts: lg L = a lg N + b lg E' + c lg N lg E' + d, E' the saturated expert count.

    1/E' = 1/(E - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max

lg is to base ten, as in the published coefficients. N is what a token meets in the dense base model. Source: Clark et al. 2022, arXiv:2202.01169,
eq. 2 and 7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitting.errors import RefusalError
from fitting.measurements import Array
from fitting.separable import fit_separable

MIN_POINTS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class MoeLaw:
    """Six coefficients."""

    a: float
    b: float
    c: float
    d: float
    e_start: float
    e_max: float
    residual_sd: float  # of lg L

    def loss(self, N: Any, n_experts: Any) -> Array:
        log_n, log_e = np.log10(N), np.log10(saturated(n_experts, self.e_start, self.e_max))
        return np.asarray(10 ** (self.a * log_n + self.b * log_e + self.c * log_n * log_e + self.d))

    def effective_params(self, N: Any, n_experts: Any) -> Array:
        """Size of the dense model (one expert) with the same loss [params]."""
        log_1 = float(np.log10(saturated(1.0, self.e_start, self.e_max)))
        log_l = np.log10(self.loss(N, n_experts))
        return np.asarray(10 ** ((log_l - self.d - self.b * log_1) / (self.a + self.c * log_1)))


def saturated(n_experts: Any, e_start: float, e_max: float) -> Array:
    """E' of eq. 7."""
    E = np.asarray(n_experts, float)
    return np.asarray(1 / (1 / (E - 1 + 1 / (1 / e_start - 1 / e_max)) + 1 / e_max))


def fit_moe(runs: Mapping[str, Any]) -> MoeLaw:
    """Fit columns n_params, n_experts, loss, each (R,).

    Raises:
        RefusalError: fewer than ten runs, three sizes, or three expert counts.
    """
    N, E, L = (np.asarray(runs[k], float) for k in ("n_params", "n_experts", "loss"))
    if len(L) < MIN_POINTS or min(len(np.unique(N)), len(np.unique(E))) < 3:
        raise RefusalError(
            f"the MoE law needs {MIN_POINTS} runs over 3 sizes and 3 expert counts; got {len(L)}, "
            f"{len(np.unique(N))} and {len(np.unique(E))}", code="too_few_points",
        )  # fmt: skip
    log_n, y = np.log10(N), np.log10(L)

    def basis(q: Array) -> Array:
        log_e = np.log10(saturated(E, *_ends(q)))
        return np.stack([log_n, log_e, log_n * log_e, np.ones_like(y)], axis=1)

    grids = [list(np.log([0.3, 1.0, 3.0])), list(np.log([30.0, 300.0, 3000.0]))]
    found = fit_separable(basis, y, grids)
    start, most = _ends(found.nonlinear)
    a, b, c, d = (float(v) for v in found.linear)
    return MoeLaw(a=a, b=b, c=c, d=d, e_start=start, e_max=most,
                  residual_sd=float(np.std(found.residuals)))  # fmt: skip


def _ends(q: Array) -> tuple[float, float]:
    """E_start and E_max > E_start from unbounded logs."""
    start = float(np.exp(np.clip(q[0], -10, 10)))
    return start, start + float(np.exp(np.clip(q[1], -10, 20)))
