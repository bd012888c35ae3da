"""Which measurements carry the conclusion: refit without each of them, all at once.

Nothing is dropped because of this; it says where to look, and which runs to repeat.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fitting.errors import InputError
from fitting.laws.protocol import ORIGIN, Array, Centre, Points
from fitting.laws.registry import law_named
from fitting.measurements import Measurements
from fitting.objectives import Objective
from fitting.optimise import minimise
from fitting.search import solve


@dataclass(frozen=True, kw_only=True, slots=True)
class Influence:
    """Without row or group `label`, N* changes by the factor `size_ratio`."""

    label: str
    n_params: float
    n_tokens: float
    residual: float  # ln(measured / fitted), of the group its mean
    size_ratio: float
    loss_ratio: float  # of L*

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def influence(
    m: Measurements, flops: float, *, law: str = "chinchilla", objective: Objective | None = None,
    by_group: bool = False,
) -> list[Influence]:  # fmt: skip
    """Change of N* and L* at `flops` without each measurement (or group), the strongest first.

    Raises:
        InputError: `by_group` without groups.
    """
    runs = m.clusters if by_group else np.arange(1, len(m) + 1).astype(str)
    if runs is None:
        raise InputError("influence by group needs a column `group`", field="group")
    chosen, goal = law_named(law), objective or Objective()
    s = solve(m, chosen, goal)
    names, where = np.unique(runs, return_inverse=True)
    weights = s.problem.weights * (where != np.arange(len(names))[:, None])
    again = minimise(replace(s.problem, weights=weights), np.repeat(s.theta[None], len(names), axis=0))  # fmt: skip
    base_n, base_l = _at(law, s.problem.x.centre, s.theta[None], flops)
    log_n, log_l = _at(law, s.problem.x.centre, again.theta, flops)
    residual = s.problem.y - chosen.log_loss(s.theta[None], s.problem.x)[0][0]
    rows = [
        Influence(
            label=str(name).strip(), n_params=_middle(m.n_params[where == k]),
            n_tokens=_middle(m.n_tokens[where == k]), residual=float(residual[where == k].mean()),
            size_ratio=float(np.exp(log_n[k] - base_n[0])),
            loss_ratio=float(np.exp(log_l[k] - base_l[0])),
        )
        for k, name in enumerate(names)
    ]  # fmt: skip
    return sorted(rows, key=lambda r: -abs(np.log(r.size_ratio)))


def _middle(values: Array) -> float:
    return float(np.exp(np.mean(np.log(values))))


def _at(law: str, centre: Centre, theta: Array, flops: float) -> tuple[Array, Array]:
    chosen = law_named(law)
    free = chosen.theta(chosen.coefficients(theta, centre), ORIGIN)
    log_n = chosen.log_optimum(free, np.array([flops]))
    d = np.log(flops / 6) - log_n
    return log_n[:, 0], chosen.log_loss(free, Points(n=log_n, d=d, u=d))[0][:, 0]
