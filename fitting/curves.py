"""The loss curve of one run under any schedule: lets a partial run predict its own end.

    L(t) = L0 + A S1(t)^-alpha - C S2(t)
    S1(t) = sum of rates up to t;  S2(t) = sum of m_i,  m_i = lambda m_(i-1) + (eta_(i-1) - eta_i)

S1 is progress along the valley, S2 what annealing the rate gains. Source: Tissue et al. 2024,
arXiv:2408.11029, eq. 1. The rate counts per step; warm-up steps belong to the schedule but not to
the observations.
"""

from dataclasses import dataclass

import numpy as np

from fitting.errors import InputError, RefusalError
from fitting.measurements import Array
from fitting.separable import fit_separable

DECAY = 0.999  # lambda, per step; published between .99 and .999
ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
MIN_POINTS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class CurveLaw:
    """`annealing` is None while the rate has not decayed: C is then unknown, not zero."""

    L0: float
    A: float
    alpha: float
    annealing: float | None
    decay: float
    residual_sd: float  # of L

    def predict(self, rates: Array, steps: Array) -> Array:
        """Loss at `steps` (1-based) of a run with these `rates` (T,) per step.

        Raises:
            RefusalError: the schedule anneals and no annealing was observed.
        """
        s1, s2 = _sums(np.asarray(rates, float), self.decay)
        at = np.asarray(steps, int) - 1
        gain = s2[at]
        if self.annealing is None and gain.max(initial=0) > 0.01 * np.max(rates):
            raise RefusalError(
                "the observed part of the run has no annealing, so what it gains is unknown; "
                "observe a run whose rate decays", code="no_annealing_seen",
            )  # fmt: skip
        return np.asarray(self.L0 + self.A * s1[at] ** -self.alpha - (self.annealing or 0) * gain)


def fit_curve(rates: Array, steps: Array, loss: Array, *, decay: float = DECAY) -> CurveLaw:
    """Fit the law to one run, or to its beginning.

    Args:
        rates: (T,) learning rate of every step, at least up to the last observation.
        steps: (R,) observed steps, 1-based, after warm-up.
        loss: (R,) their losses.
        decay: lambda.

    Raises:
        InputError: shapes or ranges that cannot be meant.
        RefusalError: fewer than eight observations.
    """
    rates, at, y = np.asarray(rates, float), np.asarray(steps, int) - 1, np.asarray(loss, float)
    if at.shape != y.shape or at.min(initial=0) < 0 or at.max(initial=0) >= len(rates):
        raise InputError(
            f"steps and loss must have one shape and lie within the {len(rates)} rates; got "
            f"{at.shape}, {y.shape}, steps up to {at.max(initial=0) + 1}", field="steps",
        )  # fmt: skip
    if not 0 <= decay <= 1:  # also NaN
        raise InputError(f"decay must lie in [0, 1]; got {decay}", field="decay")
    if not (np.isfinite(y).all() and (rates >= 0).all() and rates.any()):
        raise InputError("loss must be finite and rates not negative; got something else", field="loss")  # fmt: skip
    if len(y) < MIN_POINTS:
        raise RefusalError(f"a loss curve needs {MIN_POINTS} observations; got {len(y)}", code="too_few_points")  # fmt: skip
    s1, s2 = _sums(rates, decay)
    annealed = bool(np.ptp(s2[at]) > 0.01 * rates.max())
    columns = [np.ones_like(y)] + ([-s2[at]] if annealed else [])

    def basis(q: Array) -> Array:
        return np.stack([*columns, s1[at] ** -abs(q[0])], axis=1)

    found = fit_separable(basis, y, [ALPHAS])
    return CurveLaw(
        L0=float(found.linear[0]), A=float(found.linear[-1]), alpha=abs(float(found.nonlinear[0])),
        annealing=float(found.linear[1]) if annealed else None, decay=decay,
        residual_sd=float(np.std(found.residuals)),
    )  # fmt: skip


def _sums(rates: Array, decay: float) -> tuple[Array, Array]:
    """S1 and S2 after every step, each (T,)."""
    drop = -np.diff(rates, prepend=rates[0])
    momentum, kept = np.empty_like(rates), 0.0
    for i, d in enumerate(np.maximum(drop, 0.0)):  # warm-up raises the rate: no annealing
        kept = decay * kept + d
        momentum[i] = kept
    return np.maximum(np.cumsum(rates), 1e-12), np.cumsum(momentum)
