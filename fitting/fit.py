"""Fit a law to measurements: the point, its uncertainty, and what went on while finding it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fitting import bootstrap
from fitting.checks import check
from fitting.covariance import draws, standard_errors
from fitting.errors import InputError, RefusalError
from fitting.laws.protocol import ORIGIN, Array, Law, Points
from fitting.laws.registry import law_named
from fitting.measurements import Measurements
from fitting.objectives import Objective, noise_delta, robust_sd
from fitting.optimise import Problem, Solution, minimise
from fitting.warnings import Note, fit_notes

N_POLISHED = 24  # starts that are optimised; the others are only ranked
KEPT_SAMPLES = 500  # of the bootstrap, in `Fit.to_dict`
SAME_OPTIMUM = 1e-6  # relative difference in value


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
        return np.exp(self.law_object.log_loss(theta, Points.at(N, D, U))[0][0]).reshape(shape)

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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Setting:
    """One fit's problem and its best solution."""

    problem: Problem
    found: Solution  # all polished starts
    best: int
    n_ranked: int

    @property
    def theta(self) -> Array:
        return self.found.theta[self.best]


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
        cluster: resample whole groups; None: where `m.group` has repeated labels.
        scheme: of the bootstrap; None chooses by the number of clusters.
        weights: (R,) of the measurements; None: from `m.loss_se` where it is known, else 1.
        allow_undecayed: fit rows that were measured before the rate had decayed.

    Raises:
        InputError: an argument cannot be meant.
        RefusalError: the data cannot determine the law.
    """
    if n_bootstrap < 0:
        raise InputError(f"n_bootstrap must not be negative; got {n_bootstrap}", field="n_bootstrap")
    chosen = law_named(law)
    check(m, len(chosen.names), allow_undecayed=allow_undecayed)
    goal = _objective(m, chosen, objective, delta)
    setting = solve(m, chosen, goal, weights=weights)
    _refuse_bounds(chosen, setting)
    f = chosen.log_loss(setting.theta[None], setting.problem.x)[0][0]
    theta, origin, counts = _samples(m, setting, f, n_bootstrap, seed, cluster, scheme)
    return _assemble(m, setting, f, theta, origin, counts)


def solve(m: Measurements, law: Law, goal: Objective, *, weights: Array | None = None) -> _Setting:
    """The best optimum over data-driven starts, and all the others for the record."""
    x, y = Points.of(m), np.log(m.loss)
    w = measurement_weights(m) if weights is None else np.asarray(weights, float)
    problem = Problem(
        law=law, x=x, y=y, objective=goal, weights=w, bounds=law.bounds(x, y), censored=m.censored
    )
    starts = np.clip(law.starts(x, y), *problem.bounds)
    found = minimise(problem, starts[_rank(problem, starts)[:N_POLISHED]])
    return _Setting(problem=problem, found=found, best=int(found.value.argmin()), n_ranked=len(starts))  # fmt: skip


def measurement_weights(m: Measurements) -> Array:
    """1 where no evaluation error is known, else var / (var + se^2) with var the fit's own scatter.

    Evaluation error only matters where it exceeds the scatter of runs, about .2 %.
    """
    if m.loss_se is None:
        return np.ones(len(m))
    relative = m.loss_se / m.loss
    return np.asarray(2e-3**2 / (2e-3**2 + relative**2))


def _rank(problem: Problem, starts: Array) -> NDArray[np.intp]:
    """Starts from the best to the worst, by the widest delta, on at most 500 measurements."""
    take = np.linspace(0, len(problem.x.n) - 1, min(len(problem.x.n), 500)).astype(int)
    x, y = problem.x.rows(take), problem.y[take]
    censored = None if problem.censored is None else problem.censored[take]
    values = []
    for part in np.array_split(starts, max(1, len(starts) // 100)):
        f = problem.law.log_loss(part, x)[0]
        terms = problem.objective.terms(f, y, problem.objective.stages()[0], censored)
        values.append((terms[0] * problem.weights[take]).sum(axis=1))
    return np.argsort(np.nan_to_num(np.concatenate(values), nan=np.inf), kind="stable")


def _objective(m: Measurements, law: Law, name: str, delta: float | str | None) -> Objective:
    if delta == "mad":
        rough = solve(m, law, Objective(name="lad"))
        f = law.log_loss(rough.theta[None], rough.problem.x)[0][0]
        return Objective(name=name, delta=noise_delta(np.log(m.loss) - f))
    if isinstance(delta, str):
        raise InputError(f"delta must be a number or 'mad'; got {delta!r}", field="delta")
    return Objective(name=name) if delta is None else Objective(name=name, delta=float(delta))


def _refuse_bounds(law: Law, s: _Setting) -> None:
    hit = [n for n, b in zip(law.names, s.found.at_bound[s.best], strict=True) if b]
    if bad := [n for n in hit if n in law.essential]:
        raise RefusalError(
            f"the best {law.name} fit has {' and '.join(bad)} on the limit of what is searched: "
            f"these measurements do not determine it (widen the range of N and of D)",
            code="coefficient_on_bound",
        )


def _samples(
    m: Measurements, s: _Setting, f: Array, n: int, seed: int, cluster: bool | None,
    scheme: bootstrap.Scheme | None,
) -> tuple[Array, str, dict[str, int]]:  # fmt: skip
    """Coefficient vectors, where they came from, and how many failed."""
    if n == 0:
        theta = draws(s.theta, s.found.hessian[s.best], s.problem, seed=seed)
        return theta, "covariance", {"n_bootstrap": 0, "n_bootstrap_failed": 0}
    groups = m.group if cluster in (True, None) else None
    if cluster and groups is None:
        raise InputError("cluster needs a column `group` in the measurements", field="cluster")
    drawn = bootstrap.resample(
        s.problem.y, f, n=n, n_coefficients=len(s.problem.law.names), clusters=groups,
        scheme=scheme, seed=seed,
    )  # fmt: skip
    problem = replace(s.problem, y=drawn.y, weights=drawn.weights * s.problem.weights)
    found = minimise(problem, np.repeat(s.theta[None], n, axis=0), warm=True)
    essential = [n in problem.law.essential for n in problem.law.names]
    ok = found.converged & ~found.at_bound[:, essential].any(axis=1)
    if ok.sum() < max(2, n // 2):
        raise RefusalError(
            f"{n - int(ok.sum())} of {n} resamples have no optimum: the measurements do not "
            f"determine the {problem.law.name} law",
            code="bootstrap_failed",
        )
    return found.theta[ok], drawn.scheme, {"n_bootstrap": n, "n_bootstrap_failed": int((~ok).sum())}


def _assemble(
    m: Measurements, s: _Setting, f: Array, theta: Array, origin: str, counts: dict[str, int]
) -> Fit:
    law, centre = s.problem.law, s.problem.x.centre
    point = law.coefficients(s.theta[None], centre)
    samples = law.coefficients(theta, centre)
    exponents = _exponents(law, point)[:, 0]
    all_samples = {**samples, **dict(zip("ab", _exponents(law, samples), strict=True))}
    errors = (
        {k: float(np.std(v)) for k, v in all_samples.items()}
        if origin != "covariance"
        else standard_errors(s.theta, s.found.hessian[s.best], s.problem, _all_coefficients)
    )
    r = np.log(m.loss) - f
    goal = s.problem.objective
    made = Fit(
        law=law.name, objective=goal.name, delta=goal.delta, n_measurements=len(m),
        coefficients={k: float(v[0]) for k, v in point.items()},
        exponents={"a": float(exponents[0]), "b": float(exponents[1])},
        standard_errors=errors,
        intervals={k: bootstrap.interval(v) for k, v in all_samples.items()},
        objective_value=goal.reported(float(s.found.value[s.best]), len(m)),
        residual_sd=max(robust_sd(r), 1e-9),
        diagnostics={**_diagnostics(s), **counts},
        warnings=(), ranges=_ranges(m), samples=samples, sample_origin=origin,
        loss_unit=m.loss_unit, n_convention=m.n_convention, source=m.source,
    )  # fmt: skip
    return replace(made, warnings=fit_notes(made, m, r))


def _exponents(law: Law, coefficients: Mapping[str, Array]) -> Array:
    """a and b of N* ~ C^a, D* ~ C^b around the middle of the law, (2, B)."""
    theta = law.theta(coefficients, ORIGIN)
    C = np.array([1e20, 1.01e20])
    log_n = law.log_optimum(theta, C)
    a = (log_n[:, 1] - log_n[:, 0]) / np.log(1.01)
    return np.stack([a, 1 - a])


def _all_coefficients(law: Law, theta: Array, centre: Any) -> dict[str, Array]:
    found = law.coefficients(theta, centre)
    return {**found, **dict(zip("ab", _exponents(law, found), strict=True))}


def _diagnostics(s: _Setting) -> dict[str, Any]:
    """How much the optimum can be relied on as a minimum."""
    best, value = s.best, s.found.value
    scale = s.problem.objective.reported(1.0, len(s.problem.x.n))
    near = value <= value[best] * (1 + SAME_OPTIMUM) + 1e-12
    others = value[~near & s.found.converged]
    names = s.problem.law.names
    return {
        "converged": bool(s.found.converged[best]),
        "gradient_norm": float(s.found.gradient[best]),
        "n_starts": len(value),
        "n_starts_ranked": s.n_ranked,
        "n_starts_agreeing": int(near.sum()),
        "second_best_value": float(others.min() * scale) if others.size else None,
        "bounds_hit": [n for n, b in zip(names, s.found.at_bound[best], strict=True) if b],
        "n_steps": s.found.n_steps,
    }


def _ranges(m: Measurements) -> dict[str, tuple[float, float]]:
    columns = {"n_params": m.n_params, "n_tokens": m.n_tokens, "flops": m.flops, "loss": m.loss}
    return {k: (float(v.min()), float(v.max())) for k, v in columns.items()}


def _as_arrays(coefficients: Mapping[str, float]) -> dict[str, Array]:
    return {k: np.array([v]) for k, v in coefficients.items()}
