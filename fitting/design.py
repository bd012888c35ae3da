"""Which runs to do: what a planned sweep would tell, which runs tell most, and how much to spend.

A law with roughly known coefficients (published, or fitted so far) and the scatter of runs give the
covariance any set of runs would leave: sd^2 (J^T J)^-1. From it the expected interval of N* at the
target (V-optimality). Source: optimal experimental design for scaling laws, arXiv:2604.22753.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitting.errors import InputError, RefusalError
from fitting.laws.protocol import ORIGIN, Array, Centre, Law, Points
from fitting.laws.registry import law_named
from fitting.recommendation import Z90

SCATTER = 3e-3  # of ln L between runs that differ in seed only
ILL = 1e8  # condition number beyond which coefficients are a ridge
STEP = 1e-5


@dataclass(frozen=True, kw_only=True, slots=True)
class Prospect:
    """What a set of runs would tell about the optimum at the target."""

    condition: float  # of the correlation-scaled J^T J
    log_size_sd: float  # of ln N*(target)
    log_loss_sd: float  # of ln L*(target)
    flops: float  # the runs' total

    @property
    def interval_factor(self) -> float:
        """The expected 90 % interval of N* is N* divided and multiplied by this."""
        return float(np.exp(min(Z90 * self.log_size_sd, 700.0)))

    def to_dict(self) -> dict[str, Any]:
        return {"condition": self.condition, "log_n_params_sd": self.log_size_sd,
                "log_loss_sd": self.log_loss_sd, "interval_factor": self.interval_factor,
                "flops": self.flops, "ridge": self.condition > ILL}  # fmt: skip


def prospect(
    N: Sequence[float] | Array, D: Sequence[float] | Array, *, coefficients: Mapping[str, float],
    target: float, law: str = "chinchilla", scatter: float = SCATTER,
) -> Prospect:  # fmt: skip
    """Judge a planned sweep before it runs.

    Args:
        N, D: (R,) of the planned measurements.
        coefficients: the law as far as it is known.
        target: budget that will be asked about [FLOP].
        scatter: standard deviation of ln L between equal runs.

    Raises:
        InputError: fewer measurements than coefficients.
    """
    n, d = np.asarray(N, float), np.asarray(D, float)
    if len(n) != len(d) or len(n) < len(law_named(law).names):
        raise InputError(
            f"a {law} design needs at least {len(law_named(law).names)} pairs of N and D; got "
            f"{len(n)} and {len(d)}", field="n_params",
        )  # fmt: skip
    frame = _Frame.of(law, coefficients, target, n, d)
    info = frame.rows(n, d).T @ frame.rows(n, d)
    return frame.judge(info, scatter, float(6 * np.sum(n * d)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One more run, and what is known after it."""

    n_params: float
    n_tokens: float
    flops: float
    after: Prospect


def next_runs(
    N: Array, D: Array, candidates: Sequence[tuple[float, float]], *,
    coefficients: Mapping[str, float], target: float, law: str = "chinchilla",
    scatter: float = SCATTER, shrink: float = 0.5, max_runs: int = 100,
) -> list[Step]:  # fmt: skip
    """The cheapest runs, one after the other, until the interval of ln N* has shrunk.

    Greedy: each step takes the candidate that removes most variance per FLOP. Candidates may be
    repeated (another seed).

    Raises:
        RefusalError: `max_runs` of these candidates do not shrink it enough.
    """
    frame = _Frame.of(law, coefficients, target, N, D)
    X = frame.rows(np.array([c[0] for c in candidates]), np.array([c[1] for c in candidates]))
    cost = np.array([6 * n * d for n, d in candidates])
    info = frame.rows(N, D).T @ frame.rows(N, D)
    goal = shrink * frame.judge(info, scatter, 0.0).log_size_sd
    steps: list[Step] = []
    while len(steps) < max_runs:
        k = int((_gains(info, X, frame.size_slope) / cost).argmax())
        info = info + np.outer(X[k], X[k])
        total = sum(s.flops for s in steps) + float(cost[k])
        after = frame.judge(info, scatter, total)
        n, d = candidates[k]
        steps.append(Step(n_params=n, n_tokens=d, flops=float(cost[k]), after=after))
        if after.log_size_sd <= goal:
            return steps
    raise RefusalError(
        f"{max_runs} more of these runs shrink the interval of N* only to "
        f"{steps[-1].after.log_size_sd / goal * shrink:.2f} of what it is; larger budgets are "
        "needed", code="cannot_shrink",
    )  # fmt: skip


def _gains(info: Array, X: Array, slope: Array) -> Array:
    """Variance of slope . theta that each row of X would remove (Sherman and Morrison)."""
    cov = np.linalg.pinv(info, hermitian=True)
    along = X @ cov @ slope
    return np.asarray(along**2 / (1 + np.einsum("kp,pq,kq->k", X, cov, X)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """The law at its assumed coefficients, and how N* and L* at the target depend on them."""

    law: Law
    theta: Array
    centre: Centre
    size_slope: Array
    loss_slope: Array

    @classmethod
    def of(cls, law: str, c: Mapping[str, float], target: float, N: Array, D: Array) -> "_Frame":
        chosen = law_named(law)
        centre = Centre(log_n=float(np.log(N).mean()), log_d=float(np.log(D).mean()))
        values = {k: np.array([c[k]], float) for k in chosen.names}
        theta = chosen.theta(values, centre)[0]
        steps = theta + STEP * np.concatenate([np.eye(theta.size), -np.eye(theta.size)])
        free = chosen.theta(chosen.coefficients(steps, centre), ORIGIN)
        log_n = chosen.log_optimum(free, np.array([target]))
        d = np.log(target / 6) - log_n
        log_l = chosen.log_loss(free, Points(n=log_n, d=d, u=d))[0][:, 0]
        slopes = [(v[: theta.size] - v[theta.size :]) / (2 * STEP) for v in (log_n[:, 0], log_l)]
        return cls(
            law=chosen, theta=theta, centre=centre, size_slope=slopes[0], loss_slope=slopes[1]
        )

    def rows(self, N: Array, D: Array) -> Array:
        """Jacobian of ln L, (R, P)."""
        n, d = np.log(N) - self.centre.log_n, np.log(D) - self.centre.log_d
        x = Points(n=n, d=d, u=d, centre=self.centre)
        return np.asarray(self.law.log_loss(self.theta[None], x)[1][0].T)

    def judge(self, info: Array, scatter: float, flops: float) -> Prospect:
        scale = np.sqrt(np.maximum(np.diag(info), 1e-300))
        values = np.linalg.eigvalsh(info / np.outer(scale, scale))
        cov = np.linalg.pinv(info, rcond=1e-13, hermitian=True)
        size, loss = (
            float(np.sqrt(np.maximum(s @ cov @ s, 0))) for s in (self.size_slope, self.loss_slope)
        )
        condition = float(values.max() / max(values.min(), 1e-16))
        return Prospect(condition=condition, log_size_sd=scatter * size, log_loss_sd=scatter * loss,
                        flops=flops)  # fmt: skip
