"""What a person must know beside a number: a stable code and a sentence."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fitting.errors import Note
from fitting.measurements import Array, Measurements
from fitting.objectives import noise_delta
from fitting.stray import stray_notes

if TYPE_CHECKING:
    from fitting.fitted import Fit


RIDGE = 1e3  # high / low of an interval
NEARLY = 1.005  # of the best objective
# 90 % intervals of alpha from the covariance, simulated: 4 runs of 8 horizons hold it in 50 %, 6 in
# 70 to 75 %, 8 and more in 82 to 88 %.
FEW_RUNS = 8


def fit_notes(
    fit: "Fit", m: Measurements, residuals: Array, clusters: NDArray[np.str_] | None = None
) -> tuple[Note, ...]:
    """Everything that limits how far a fit can be trusted; `clusters` as in `fitting.covariance`."""
    found = [
        *stray_notes(m, residuals, n_coefficients=len(fit.coefficients)),
        *_data_notes(m),
        *_run_notes(clusters),
        *_search_notes(fit),
    ]
    wanted = noise_delta(residuals)
    if fit.objective == "huber" and not wanted / 30 < fit.delta < wanted * 30:
        found.append(Note("delta_far_from_noise", (
            f"delta {fit.delta:.2g} is far from the scatter of the residuals (about {wanted:.2g}): "
            f"this is {'LAD' if fit.delta < wanted else 'least squares'} in effect; "
            "delta 'mad' takes it from the residuals")))  # fmt: skip
    return tuple(found)


def _data_notes(m: Measurements) -> list[Note]:
    found = []
    if m.n_excluded:
        found.append(Note("rows_excluded", f"{m.n_excluded} rows flagged excluded_outlier were left out; "
                          f"{len(m)} were fitted"))  # fmt: skip
    if m.decayed is not None and not m.decayed.all():
        found.append(Note("undecayed", f"{int((~m.decayed).sum())} rows are not decayed losses"))
    points = np.stack([m.n_params, m.n_tokens, m.loss], axis=1)
    if twice := len(m) - len(np.unique(points, axis=0)):
        found.append(Note("duplicate_rows", (
            f"{twice} rows say the same as another (N, D and loss): each counts as a run of its own, and "
            "intervals are too narrow (leave them out, or give them one label in the column group)")))  # fmt: skip
    repeated = 0 if m.unique_tokens is None else int((m.n_tokens > 1.01 * m.unique_tokens).sum())
    if repeated:
        found.append(Note("repeated_data", f"{repeated} runs repeat their data; only the muennighoff law knows"))  # fmt: skip
    return found


def _run_notes(clusters: NDArray[np.str_] | None) -> list[Note]:
    n = FEW_RUNS if clusters is None else len(np.unique(clusters))
    return [Note("few_runs", f"the measurements come from only {n} runs (column group), and points of "
                 f"one run err together: intervals from fewer than {FEW_RUNS} runs are too narrow "
                 "(add runs, not horizons)")] if n < FEW_RUNS else []  # fmt: skip


def _search_notes(fit: "Fit") -> list[Note]:
    found, d = [], fit.diagnostics
    if not d["converged"]:
        found.append(Note("not_converged", f"the optimiser stopped at a relative gradient of {d['gradient_norm']:.1e}"))  # fmt: skip
    found += [
        Note(
            "not_identified", f"{name} ran to the limit of its range: the data do not determine it"
        )
        for name in d["bounds_hit"]
    ]
    for name in fit.coefficients:
        low, high = fit.intervals[name]
        if low > 0 and high / low > RIDGE and name not in d["bounds_hit"]:
            found.append(Note("not_identified", f"{name} lies on a ridge: its 90 % interval is {low:.3g} to {high:.3g}; its profile says more"))  # fmt: skip
    second = d["second_best_value"]
    if second is not None and second < NEARLY * fit.objective_value:
        found.append(Note("second_basin", f"another optimum is nearly as good: {second:.6g} against {fit.objective_value:.6g}"))  # fmt: skip
    if d["n_bootstrap_failed"]:
        found.append(Note("bootstrap_failures", f"{d['n_bootstrap_failed']} of {d['n_bootstrap']} resamples "
                          "had no optimum and are not in the intervals"))  # fmt: skip
    return found
