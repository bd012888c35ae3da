"""Fit a law to measurements: the point, its uncertainty, and what went on while finding it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fitting import bootstrap
from fitting.checks import check
from fitting.covariance import draws, standard_errors
from fitting.errors import InputError, RefusalError
from fitting.fitted import Fit
from fitting.laws.protocol import ORIGIN, Array, Law
from fitting.laws.registry import law_named
from fitting.measurements import Measurements
from fitting.objectives import Objective, noise_delta, robust_sd
from fitting.optimise import minimise
from fitting.search import Search, diagnostics, solve
from fitting.stray import stray_notes
from fitting.warnings import fit_notes

__all__ = ["Fit", "fit"]

ROUGH_DELTA = 3e-3  # of the fit whose residuals give delta "mad"


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """Vectors theta (B, P), where they came from, and how many resamples failed."""

    theta: Array
    origin: str
    n: int = 0
    n_failed: int = 0


def fit(
    m: Measurements,
    *,
    law: str = "chinchilla",
    objective: str = "huber",
    delta: float | str | None = None,
    n_bootstrap: int = 0,
    seed: int = 0,
    cluster: bool | None = None,
    scheme: bootstrap.Scheme | None = None,
    weights: Array | None = None,
    fixed: Mapping[str, float] | None = None,
    allow_undecayed: bool = False,
) -> Fit:
    """Fit `law` to `m`.

    Args:
        m: at least one more measurement than the law has coefficients.
        law: a name of `fitting.laws.registry`.
        objective: "huber", "lad", "log_mse" or "mse".
        delta: of Huber, a residual of ln L; None: the published 1e-3; "mad": from the residuals.
        n_bootstrap: resamples; 0 draws `samples` from the covariance instead.
        seed: of the resamples.
        cluster: whole groups err together; None: where `m.group` has repeated labels.
        scheme: of the bootstrap; None chooses by the number of clusters.
        weights: (R,) of the measurements; None: from `m.loss_se` where it is known, else 1.
        fixed: coefficients that are known; A and B only together with their exponents.
        allow_undecayed: fit rows that were measured before the rate had decayed.

    Raises:
        InputError: an argument cannot be meant.
        RefusalError: the data cannot determine the law.
    """
    bootstrap.check_resampling(n_bootstrap, seed, scheme)
    chosen, groups = law_named(law), _clusters(m, cluster=cluster)
    check(m, len(chosen.names) - len(fixed or {}), allow_undecayed=allow_undecayed)
    goal = _objective(m, chosen, objective, delta)
    setting = solve(m, chosen, goal, weights=weights, fixed=fixed)
    _refuse_bounds(chosen, setting, m)
    f = chosen.log_loss(setting.theta[None], setting.problem.x)[0][0]
    if n_bootstrap:
        drawn = bootstrap.resample(
            setting.problem.y, f, n=n_bootstrap, jacobian=chosen.log_loss(setting.theta[None], setting.problem.x)[1][0],
            clusters=groups, scheme=scheme, seed=seed,
        )  # fmt: skip
        samples = refit(setting, drawn)
    else:
        theta = draws(
            setting.theta, setting.found.hessian[setting.best], setting.problem, seed=seed,
            clusters=groups,
        )  # fmt: skip
        samples = Samples(theta=theta, origin="covariance")
    return _assemble(m, setting, f, samples, groups)


def _objective(m: Measurements, law: Law, name: str, delta: float | str | None) -> Objective:
    if delta == "mad":
        rough = solve(m, law, Objective(delta=ROUGH_DELTA))
        f = law.log_loss(rough.theta[None], rough.problem.x)[0][0]
        return Objective(name=name, delta=noise_delta(np.log(m.loss) - f))
    if isinstance(delta, str):
        raise InputError(f"delta must be a number or 'mad'; got {delta!r}", field="delta")
    return Objective(name=name) if delta is None else Objective(name=name, delta=float(delta))


def _refuse_bounds(law: Law, s: Search, m: Measurements) -> None:
    if bad := [n for n in diagnostics(s)["bounds_hit"] if n in law.essential]:
        text = (
            f"the best {law.name} fit has {' and '.join(bad)} on the limit of what is searched: "
            "these measurements do not determine it"
        )
        stray = [note.message for note in stray_notes(m, np.zeros(len(m)))]
        why = "; ".join([text, *stray]) if stray else f"{text} (widen the range of N and of D)"
        raise RefusalError(why, code="coefficient_on_bound")


def _clusters(m: Measurements, *, cluster: bool | None) -> NDArray[np.str_] | None:
    if cluster and m.group is None:
        raise InputError("cluster needs a column `group` in the measurements", field="cluster")
    return None if cluster is False else m.clusters


def refit(s: Search, drawn: bootstrap.Resamples) -> Samples:
    """The optimum of every resample, warm from the fit's own.

    Raises:
        RefusalError: more than half of the resamples have no optimum.
    """
    law = s.problem.law
    n = len(drawn.y) if drawn.y.ndim == 2 else len(drawn.weights)
    problem = replace(s.problem, y=drawn.y, weights=drawn.weights * s.problem.weights)
    found = minimise(problem, np.repeat(s.theta[None], n, axis=0), warm=True)
    loose = problem.bounds[0] < problem.bounds[1]
    essential = loose & [name in law.essential for name in law.names]
    ok = found.converged & ~found.at_bound[:, essential].any(axis=1)
    if ok.sum() < max(2, n // 2):
        raise RefusalError(
            f"{n - int(ok.sum())} of {n} resamples have no optimum: the measurements do not "
            f"determine the {law.name} law (add runs at other sizes and budgets"
            + (")" if law.name == "frontier" else "; law 'frontier' asks less of them)"),
            code="bootstrap_failed",
        )
    return Samples(theta=found.theta[ok], origin=drawn.scheme, n=n, n_failed=int((~ok).sum()))


def _assemble(
    m: Measurements, s: Search, f: Array, drawn: Samples, clusters: NDArray[np.str_] | None
) -> Fit:
    law, centre = s.problem.law, s.problem.x.centre
    top = float(m.flops.max())
    point = _with_exponents(law, law.coefficients(s.theta[None], centre), top)
    samples = law.coefficients(drawn.theta, centre)
    known = {
        k: v for k, v in _with_exponents(law, samples, top).items() if np.isfinite(point[k])[0]
    }

    def named(theta: Array) -> dict[str, Array]:
        found = _with_exponents(law, law.coefficients(theta, centre), top)
        return {k: found[k] for k in known}

    errors = (
        {k: float(np.nanstd(v)) for k, v in known.items()}
        if drawn.origin != "covariance"
        else standard_errors(s.theta, s.found.hessian[s.best], s.problem, named, clusters)
    )
    r = np.log(m.loss) - f
    goal = s.problem.objective
    made = Fit(
        law=law.name, objective=goal.name, delta=goal.delta, n_measurements=len(m),
        coefficients={k: float(point[k][0]) for k in law.names},
        exponents={k: float(point[k][0]) for k in "ab" if k in known},
        standard_errors=errors,
        intervals={k: bootstrap.interval(v) for k, v in known.items()},
        objective_value=goal.reported(float(s.found.value[s.best]), len(m)),
        residual_sd=max(robust_sd(r) * np.sqrt(len(r) / max(len(r) - len(law.names), 1)), 1e-9),
        diagnostics={
            **diagnostics(s), "n_bootstrap": drawn.n, "n_bootstrap_failed": drawn.n_failed,
        },
        warnings=(), ranges=_ranges(m), samples=samples, sample_origin=drawn.origin,
        loss_unit=m.loss_unit, n_convention=m.n_convention, source=m.source,
    )  # fmt: skip
    return replace(made, warnings=fit_notes(made, m, r, clusters))


def _with_exponents(law: Law, found: Mapping[str, Array], flops: float) -> dict[str, Array]:
    """Coefficients (B,), and a and b of N* ~ C^a, D* ~ C^b around `flops`."""
    theta = law.theta(found, ORIGIN)
    log_n = law.log_optimum(theta, flops * np.array([0.5, 2.0]))
    a = (log_n[:, 1] - log_n[:, 0]) / np.log(4)
    return {**found, "a": a, "b": 1 - a}


def _ranges(m: Measurements) -> dict[str, tuple[float, float]]:
    columns = {"n_params": m.n_params, "n_tokens": m.n_tokens, "flops": m.flops, "loss": m.loss}
    return {k: (float(v.min()), float(v.max())) for k, v in columns.items()}
