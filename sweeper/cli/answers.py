"""From measurements and a budget in any unit to the JSON of a recommendation with its cost."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fitting.errors import InputError

if TYPE_CHECKING:
    from fitting.measurements import Measurements
    from fitting.recommendation import Recommendation


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What `isoflop recommend` was asked."""

    budget: str
    law: str
    objective: str
    delta: float | str | None
    n_bootstrap: int
    seed: int
    inference_tokens: float
    unique_tokens: float | None

    @property
    def plain(self) -> bool:
        """Compute-optimal training: the question that regrets and next runs answer."""
        return not self.inference_tokens and self.unique_tokens is None


def answer(m: "Measurements", q: Question) -> dict[str, Any]:
    """Recommendation, its budget in FLOP, and its cost under the budget's own assumptions."""
    from fitting.costs.budget import parse_budget
    from fitting.costs.estimate import estimate

    budget = parse_budget(q.budget)
    resolved = budget.to_flops()
    stated = {
        name: getattr(budget, name) for name in ("device", "n_devices", "price_kind", "region")
    }
    assumptions = {k: v for k, v in stated.items() if v not in ("", None)}
    flops = resolved.flops.value
    found, law, regret = _recommend(m, q, flops)
    result = found.to_dict() | {"regret": regret} | surroundings(m, q, flops, law)
    cost = estimate(n_params=result["n_params"], n_tokens=result["n_tokens"], **assumptions)
    return {**result, "budget": resolved.to_dict(), "cost": cost.to_dict()}


def surroundings(m: "Measurements", q: Question, flops: float, law: str) -> dict[str, Any]:
    """What `law` says under other objectives, and which runs would halve the interval."""
    from fitting.advice import advise
    from fitting.errors import RefusalError
    from fitting.sensitivity import by_objective

    if not q.plain:
        return {"sensitivity": {}, "next_runs": []}
    try:
        others = by_objective(m, law=law)
        advice = advise(m, target=flops)
    except RefusalError:  # the recommendation stands without them
        return {"sensitivity": {}, "next_runs": []}
    sizes = {name: float(f.optimum(flops)[0]) for name, f in others.items()}
    return {
        "sensitivity": {k: v for k, v in sizes.items() if v == v},  # noqa: PLR0124  # not NaN
        "next_runs": advice["next_runs"],
    }


Regrets = list[dict[str, float]]


def _recommend(m: "Measurements", q: Question, flops: float) -> tuple["Recommendation", str, Regrets]:  # fmt: skip
    """The recommendation, the law behind it, and what other sizes cost by that law."""
    from fitting.analysis import AVERAGED, analyse
    from fitting.fit import fit
    from fitting.recommend import recommend, regrets

    asked: dict[str, Any] = {
        "inference_tokens": q.inference_tokens,
        "unique_tokens": q.unique_tokens,
    }
    if q.law == "auto":
        a = analyse(m, n_bootstrap=q.n_bootstrap, seed=q.seed)
        law = a.trusted if a.trusted in AVERAGED else AVERAGED[0]
        return a.recommend(flops, **asked), law, a.regrets(flops) if q.plain else []
    fitted = fit(
        m, law=q.law, objective=q.objective, delta=q.delta, n_bootstrap=q.n_bootstrap, seed=q.seed
    )
    found = recommend(fitted, m, flops=flops, **asked)
    return found, q.law, regrets(fitted, flops) if q.plain else []


def by_service(fit_id: int | None, q: Question) -> dict[str, Any]:
    """The service's answer for one of its fits."""
    from sweeper.client import Client

    if fit_id is None:
        raise InputError("give a CSV file, or --fit with the id of a fit", field="csv")
    body: dict[str, Any] = {"fit_id": fit_id, "budget": q.budget}
    if q.inference_tokens:
        body["inference_tokens"] = q.inference_tokens
    if q.unique_tokens is not None:
        body["unique_tokens"] = q.unique_tokens
    with Client() as client:
        return client.recommend(**body)
