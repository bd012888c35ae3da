"""The lecture's question in one call: *10,000 H100 for 30 days: what do I train?*

A part of the budget pays for a sweep of small runs; the law gives N* and D* for the rest, and the
price table what that costs. Variants: with the tokens to be served counted in, and with a corpus
that must repeat.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from fitting.costs.budget import Resolved, parse_budget
from fitting.costs.estimate import Estimate, estimate_with
from fitting.costs.figures import Figure, product
from fitting.costs.flops import n_tokens_for
from fitting.costs.published import Choice
from fitting.costs.rates import price
from fitting.costs.tables import Tables
from fitting.costs.workload import Workload
from fitting.errors import InputError, RefusalError
from fitting.split import Split, split

N_BUDGETS, BUDGET_RATIO = 5, 10**0.5  # isoFLOP budgets, each so many times the one below
SIZES = (0.35, 0.6, 1.0, 1.7, 2.9)  # times the size the law expects to be best


class Law(Protocol):
    """Anything that can choose: a published law, or one fitted to a sweep."""

    @property
    def source(self) -> str: ...

    @property
    def closed_form(self) -> tuple[str, dict[str, float]]: ...

    def choose(
        self, flops: float, *, inference_tokens: float = 0.0, unique_tokens: float | None = None
    ) -> Choice: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """One isoFLOP budget of the sweep and the sizes to try on it."""

    flops: float
    n_params: tuple[float, ...]
    n_tokens: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    share: float  # of the whole budget
    computed: Split  # the share with the least expected final loss, and how flat that is
    flops: Figure
    figures: dict[str, Figure]  # device_hours, days, usd, tco2e, …
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """`choices["plain"]` always; "inference_aware" and "data_limited" where asked for.

    `at_band` holds the plain choice at the low and high end of what the budget buys.
    """

    budget: Resolved
    law: str
    sweep: Sweep
    choices: dict[str, Choice]
    at_band: tuple[Choice, Choice]
    final: Estimate
    whole: Estimate

    def to_dict(self) -> dict[str, Any]:
        low, high = self.at_band
        return {
            "budget": self.budget.to_dict(),
            "law": self.law,
            "sweep": _sweep_dict(self.sweep),
            "choices": {name: c.to_dict() for name, c in self.choices.items()},
            "over_the_budgets_band": {
                "n_params": [low.n_params, high.n_params],
                "n_tokens": [low.n_tokens, high.n_tokens],
                "loss": [high.loss, low.loss],
            },
            "final_run": self.final.to_dict(),
            "whole_budget": self.whole.to_dict(),
        }


def ask(
    text: str,
    law: Law,
    *,
    sweep_share: float | Literal["computed"] | None = None,
    inference_tokens: float = 0.0,
    unique_tokens: float | None = None,
    tables: Tables | None = None,
    defaults: Mapping[str, Any] | None = None,
    **assumptions: Any,
) -> Answer:
    """What to train on a budget in any unit.

    Args:
        text: such as "30 days on 10,000 h100"; see `fitting.costs.units.EXAMPLES`.
        law: `published_law("chinchilla-epoch")`, or `FittedLaw` of a sweep.
        sweep_share: part of the compute for small runs; 3 days of 30 by default; "computed": the
            share with the least expected loss of the final run, see `fitting.split`.
        inference_tokens: adds the variant that counts serving into the same budget.
        unique_tokens: adds the variant whose corpus holds only so many tokens.
        defaults: assumptions that hold unless stated otherwise; see `Budget.to_flops`.

    Raises:
        InputError: from reading the budget or the assumptions.
        RefusalError: the law cannot be extrapolated that far.
    """
    said = parse_budget(text, tables=tables)
    budget = said.to_flops(tables=tables, defaults=defaults, **assumptions)
    computed = _computed(law, budget.flops.value)
    share = computed.share if sweep_share == "computed" else _share(budget, sweep_share)
    rest = 1 - share
    C = budget.flops
    choices = _choices(law, C.value * rest, inference_tokens, unique_tokens)
    best = choices["plain"]
    return Answer(
        budget=budget,
        law=law.source,
        sweep=_sweep(budget, law, share, computed),
        choices=choices,
        at_band=(law.choose(C.low * rest), law.choose(C.high * rest)),
        final=_final(budget, best),
        whole=budget.estimate(),
    )


def _share(budget: Resolved, stated: float | None) -> float:
    row = budget.rates.tables.constants["sweep_share"]
    share = row["days"] / row["of_days"] if stated is None else stated
    if not 0 < share < 1:
        raise InputError(
            f"sweep_share must lie in (0, 1); got {share} (a percentage?)", field="sweep_share"
        )
    return float(share)


def _computed(law: Law, flops: float) -> Split:
    name, coefficients = law.closed_form
    return split(flops, coefficients, law=name)


def _choices(law: Law, flops: float, served: float, unique: float | None) -> dict[str, Choice]:
    found = {"plain": law.choose(flops)}
    if served:
        found["inference_aware"] = law.choose(flops, inference_tokens=served)
    if unique is not None:
        found["data_limited"] = law.choose(flops, unique_tokens=unique)
    for choice in found.values():
        if choice.verdict == "refused":
            reasons = tuple(n.message for n in choice.notes)
            raise RefusalError(reasons[0], code=choice.notes[0].code, reasons=reasons)
    return found


def _final(budget: Resolved, best: Choice) -> Estimate:
    return estimate_with(budget.rates, Workload(n_params=best.n_params, n_tokens=best.n_tokens))


def _sweep(budget: Resolved, law: Law, share: float, computed: Split) -> Sweep:
    flops = product("flops", "FLOP", [budget.flops, _as_factor(share)])
    figures = price(budget.rates, flops)
    for people in ("usd_staff", "usd_total"):  # paid once, with the final run
        figures.pop(people, None)
    return Sweep(
        share=share,
        computed=computed,
        flops=flops,
        figures=figures,
        rungs=rungs(law, flops.value),
    )


def rungs(law: Law, flops: float) -> tuple[Rung, ...]:
    """isoFLOP budgets whose runs together cost `flops`, smallest first, around the law's optimum."""
    weights = [BUDGET_RATIO**-i for i in range(N_BUDGETS)]
    top = flops / (len(SIZES) * sum(weights))
    result = []
    for weight in reversed(weights):
        C = top * weight
        centre = law.choose(C).n_params
        N = tuple(centre * factor for factor in SIZES)
        result.append(Rung(flops=C, n_params=N, n_tokens=tuple(n_tokens_for(C, n) for n in N)))
    return tuple(result)


def _as_factor(share: float) -> Figure:
    from_rule = f"{share:.3g} of the budget"
    return Figure(
        name="sweep share", value=share, low=share, high=share, unit="", formula=from_rule
    )


def _sweep_dict(sweep: Sweep) -> dict[str, Any]:
    return {
        "share": sweep.share,
        "computed_share": {"value": sweep.computed.share, "flat": list(sweep.computed.flat)},
        "flops": sweep.flops.to_dict(),
        **{name: f.to_dict() for name, f in sweep.figures.items()},
        "runs": [
            {"flops": r.flops, "n_params": list(r.n_params), "n_tokens": list(r.n_tokens)}
            for r in sweep.rungs
        ],
    }
