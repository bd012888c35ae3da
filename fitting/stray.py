"""Measurements that lie far from any law of the others: a mistyped loss, a run that broke.

They are named, never dropped: who knows better flags them `excluded_outlier`.
"""

import numpy as np

from fitting.errors import Note
from fitting.measurements import Array, Measurements
from fitting.objectives import robust_sd

# Robust standard deviations of ln L. Of the 245 Chinchilla points this names four of the five that
# Besiroglu et al. 2024 (arXiv:2404.10102) left out, and no other; the fifth lies at 3.
FAR = 10.0
LEAST_SD = 1e-4  # of ln L: exact losses have none
LEAST_FACTOR = 10.0  # to the median loss: whatever the law says
N_NAMED = 3


def stray_notes(m: Measurements, residuals: Array) -> tuple[Note, ...]:
    """One note that names them, or none.

    Args:
        residuals: (R,) of ln L from a law; zeros where none could be fitted.
    """
    off = residuals - np.median(residuals)
    sd = max(robust_sd(residuals), LEAST_SD)
    from_median = np.log(m.loss / np.median(m.loss))
    rows = np.flatnonzero((np.abs(off) > FAR * sd) | (np.abs(from_median) > np.log(LEAST_FACTOR)))
    if not rows.size:
        return ()
    worst = rows[np.argsort(-np.maximum(np.abs(off), np.abs(from_median))[rows])]
    named = "; ".join(_said(m, k, off[k], sd, from_median[k]) for k in worst[:N_NAMED])
    more = f"; and {rows.size - N_NAMED} more" if rows.size > N_NAMED else ""
    return (Note("stray_measurements", (
        f"{rows.size} of {len(m)} measurements {'lies' if rows.size == 1 else 'lie'} far from the others: {named}{more} (check them; rows "
        "flagged in a column excluded_outlier are left out, and counted)")),)  # fmt: skip


def _said(m: Measurements, k: int, off: float, sd: float, from_median: float) -> str:
    run = f"N={m.n_params[k]:.4g}, D={m.n_tokens[k]:.4g}, loss {m.loss[k]:.4g}"
    if abs(off) > FAR * sd:
        side = "above" if off > 0 else "below"
        return f"{run}, {100 * abs(np.expm1(off)):.2g} % {side} their law, {abs(off) / sd:.2g} times their scatter"  # fmt: skip
    return f"{run}, {np.exp(from_median):.2g} times the median"
