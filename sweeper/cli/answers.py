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
    result = _recommend(m, q, flops).to_dict() | surroundings(m, q, flops)
    cost = estimate(n_params=result["n_params"], n_tokens=result["n_tokens"], **assumptions)
    return {**result, "budget": resolved.to_dict(), "cost": cost.to_dict()}


def surroundings(m: "Measurements", q: Question, flops: float) -> dict[str, Any]:
    """What other sizes cost, what other objectives say, and which runs would halve the interval."""
    from fitting.advice import advise
    from fitting.errors import RefusalError
    from fitting.fit import fit
    from fitting.recommend import regrets
    from fitting.sensitivity import by_objective

    if q.inference_tokens or q.unique_tokens is not None:  # these are of plain training
        return {"regret": [], "sensitivity": {}, "next_runs": []}
    law = "frontier" if q.law == "auto" else q.law
    try:
        others = by_objective(m, law=law)
        regret = regrets(fit(m, law=law, objective=q.objective, delta=q.delta), flops)
        advice = advise(m, target=flops)
    except RefusalError:  # the recommendation stands without them
        return {"regret": [], "sensitivity": {}, "next_runs": []}
    sizes = {name: float(f.optimum(flops)[0]) for name, f in others.items()}
    return {
        "regret": regret,
        "sensitivity": {k: v for k, v in sizes.items() if v == v},  # noqa: PLR0124  # not NaN
        "next_runs": advice["next_runs"],
    }


def _recommend(m: "Measurements", q: Question, flops: float) -> "Recommendation":
    if q.law == "auto":
        from fitting.analysis import analyse

        return analyse(m, n_bootstrap=q.n_bootstrap, seed=q.seed).recommend(
            flops, inference_tokens=q.inference_tokens, unique_tokens=q.unique_tokens
        )
    from fitting.fit import fit
    from fitting.recommend import recommend

    fitted = fit(
        m, law=q.law, objective=q.objective, delta=q.delta, n_bootstrap=q.n_bootstrap, seed=q.seed
    )
    return recommend(
        fitted, m, flops=flops, inference_tokens=q.inference_tokens, unique_tokens=q.unique_tokens
    )


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
