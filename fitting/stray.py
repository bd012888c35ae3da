"""Measurements that lie far from any law of the others: a mistyped loss, a run that broke.

They are named, never dropped: who knows better flags them `excluded_outlier`.
"""

import numpy as np

from fitting.errors import Note
from fitting.measurements import Array, Measurements
from fitting.objectives import SD_OF_MAD

# Robust standard deviations of ln L. Of the 245 Chinchilla points this names four of the five that
# Besiroglu et al. 2024 (arXiv:2404.10102) left out, and no other; the fifth lies at 3.
FAR = 10.0
LEAST_SD = 1e-4  # of ln L: exact losses have none
LEAST_OFF = 0.03  # of ln L: no run is bad for less
LEAST_FACTOR = 10.0  # to the median loss: whatever the law says
ENOUGH = 3  # points for each coefficient
N_NAMED = 3


def stray_notes(m: Measurements, residuals: Array, *, n_coefficients: int = 0) -> tuple[Note, ...]:
    """One note that names them, or none.

    Args:
        residuals: (R,) of ln L from a law; zeros where none could be fitted.
        n_coefficients: of that law, which may go through as many points exactly.
    """
    off = residuals - np.median(residuals)
    sd = _scatter(off, n_coefficients)
    from_median = np.log(m.loss / np.median(m.loss))
    above = np.zeros(len(m), bool) if m.censored is None else m.censored & (off > 0)  # as it should
    far = (np.abs(off) > max(FAR * sd, LEAST_OFF)) & ~above
    rows = np.flatnonzero(far | (np.abs(from_median) > np.log(LEAST_FACTOR)))
    if not rows.size:
        return ()
    worst = rows[np.argsort(-np.maximum(np.abs(off), np.abs(from_median))[rows])]
    named = "; ".join(
        f"N={m.n_params[k]:.4g}, D={m.n_tokens[k]:.4g}, loss {m.loss[k]:.4g}, "
        + (_by_law(off[k], sd) if far[k] else f"{np.exp(from_median[k]):.2g} times the median")
        for k in worst[:N_NAMED]
    )
    more = f"; and {rows.size - N_NAMED} more" if rows.size > N_NAMED else ""
    return (Note("stray_measurements", (
        f"{rows.size} of {len(m)} measurements {'lies' if rows.size == 1 else 'lie'} far from the "
        f"others: {named}{more} (check them; rows flagged in a column excluded_outlier are "
        "left out, and counted)")),)  # fmt: skip


def _scatter(off: Array, n_coefficients: int) -> float:
    """Robust standard deviation of those residuals that are not the fit's own points; infinite
    where they are too few to tell."""
    if len(off) < ENOUGH * n_coefficients:
        return float("inf")
    free = np.sort(np.abs(off))[n_coefficients:]
    return max(float(SD_OF_MAD * np.median(free)), LEAST_SD)


def _by_law(off: float, sd: float) -> str:
    side = "above" if off > 0 else "below"
    return f"{100 * abs(np.expm1(off)):.2g} % {side} their law, {abs(off) / sd:.2g} times their scatter"
