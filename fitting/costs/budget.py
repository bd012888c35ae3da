"""A budget in any unit, turned into training compute with its assumptions shown.

`parse_budget("10 kUSD spot a100 in europe-west4").to_flops()`. The way back is exact: pricing the
resulting FLOP under the resolved assumptions gives the budget again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fitting.costs.assumptions import Assumptions
from fitting.costs.estimate import Estimate, estimate_with
from fitting.costs.figures import Figure
from fitting.costs.invert import flops_for
from fitting.costs.rates import Rates, resolve
from fitting.costs.tables import Tables, load_tables
from fitting.costs.units import EXAMPLES, normal, parse_amount
from fitting.costs.workload import Workload
from fitting.errors import InputError, Note

_KINDS = {
    "spot": "spot",
    "on-demand": "on-demand",
    "ondemand": "on-demand",
    "1y": "1y",
    "1-year": "1y",
    "3y": "3y",
    "3-year": "3y",
}
FIGURE = {  # which figure of an estimate gives the budget back
    "flop": "flops",
    "device_h": "device_hours",
    "usd": "usd_total",
    "days": "days",
    "tco2e": "tco2e",
    "kwh": "energy_kwh",
}


_SPEEDS = ("measured_flop_s", "measured_flop_s_band", "measured_mfu")
_OF_A_DEVICE = (*_SPEEDS, "device", "n_devices", "power_w", "usd_per_device_h", "price_kind",
                "provider")  # fmt: skip


_FOR = re.compile(  # 10,000 H100 for 30 days
    r"(?P<what>\d[\w ,.×-]*?)\s+for\s+(?P<time>[\d,.]+ ?[a-z]+)(?P<more>.*)", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What the text says: an amount, and the machine, place and contract if it names them."""

    text: str
    amount: float
    unit: str  # flop, device_h, usd, days, tco2e or kwh
    device: str = ""
    n_devices: int | None = None
    price_kind: str = ""
    region: str = ""

    def to_flops(
        self,
        *,
        tables: Tables | None = None,
        defaults: Mapping[str, Any] | None = None,
        **assumptions: Any,
    ) -> "Resolved":
        """C for this budget.

        Args:
            tables: shipped tables, or `load_tables(overlay)`.
            defaults: assumptions that hold unless stated otherwise, such as a sweep's own machine
                and its measured speed; both fall where another device is named.
            **assumptions: fields of `Assumptions`, such as `preset` or `measured_mfu`.

        Raises:
            InputError: the text and an argument contradict each other, days without a machine, or
                a price or power that nobody knows.
        """
        known = tables or load_tables()
        merged = {k: v for k, v in assumptions.items() if v not in ("", None)}
        for name in ("device", "n_devices", "price_kind", "region"):
            _merge(merged, name, getattr(self, name), self.text, known)
        merged = kept(defaults or {}, merged, known) | merged
        rates = resolve(Assumptions(**merged), tables)
        return Resolved(
            budget=self, rates=rates, flops=flops_for(self.amount, self.unit, rates, text=self.text)
        )

    def with_amount(self, amount: float) -> "Budget":
        """A part of this budget, such as the sweep's share."""
        return replace(self, amount=amount)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """A budget in FLOP, with the rates that made it so."""

    budget: Budget
    rates: Rates
    flops: Figure

    @property
    def notes(self) -> tuple[Note, ...]:
        return self.rates.notes

    def estimate(self, *, n_params: float | None = None, n_tokens: float | None = None) -> Estimate:
        """What that compute costs: the budget again, and everything beside it.

        With `n_params` and `n_tokens`, what that run costs at the same rates.
        """
        flops = self.flops.value if n_params is None and n_tokens is None else None
        return estimate_with(
            self.rates, Workload(flops=flops, n_params=n_params, n_tokens=n_tokens)
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "text": self.budget.text,
            "amount": self.budget.amount,
            "unit": self.budget.unit,
            "flops": self.flops.to_dict(),
            "device": self.rates.device.id,
            "n_devices": self.rates.n_devices,
            "assumptions": self.rates.assumptions.stated(),
            "warnings": [n.to_dict() for n in self.notes],
        }


def parse_budget(text: str, *, tables: Tables | None = None) -> Budget:
    """Read a budget such as `30d@1024xh100-sxm`; `units.EXAMPLES` lists the forms.

    Raises:
        InputError: no amount, an unknown unit, device, region or word; field is "budget".
    """
    found = _FOR.fullmatch(text.strip())
    plain = f"{found['time']} on {found['what']} {found['more']}" if found else text
    amount = parse_amount(plain)
    budget = Budget(text=text, amount=amount.value, unit=amount.unit, device=amount.device)
    return _machine(budget, normal(amount.rest), tables or load_tables())


def _machine(budget: Budget, rest: str, tables: Tables) -> Budget:
    """Contract, region, count and device from the words after the amount."""
    found = re.search(r"\bin\s+(?P<region>[\w -]+)$", rest)
    if found:
        budget = replace(budget, region=tables.grid(found["region"]).id)
        rest = rest[: found.start()]
    words = [w for w in rest.replace("@", " ").split() if w not in ("on", "at", "of", "using", "a")]
    for kind in [w for w in words if w in _KINDS]:
        budget = replace(budget, price_kind=_KINDS[kind])
    text = " ".join(w for w in words if w not in _KINDS)
    count = re.match(r"(?P<n>\d+)\s*(?:x\s*)?(?=[a-z])", text)
    if count:
        budget = replace(budget, n_devices=_count(budget, int(count["n"])))
        text = text[count.end() :]
    if text:
        budget = replace(budget, device=text)
    return _named(budget, tables)


def _count(budget: Budget, n: int) -> int:
    if n < 1:
        raise InputError(f"budget {budget.text!r}: {n} devices; give at least 1", field="budget")
    return n


def _named(budget: Budget, tables: Tables) -> Budget:
    if not budget.device:
        return budget
    try:
        return replace(budget, device=tables.device(budget.device).id)
    except InputError as e:
        raise InputError(
            f"budget {budget.text!r}: {e}; write one of: {EXAMPLES}", field="budget"
        ) from e


def _merge(merged: dict[str, Any], name: str, value: Any, text: str, tables: Tables) -> None:
    """The text's word, unless an argument says otherwise: then neither is guessed."""
    if value in ("", None):
        return
    other = merged.get(name)
    same = other == value
    if name in ("device", "region") and other:
        look = tables.device if name == "device" else tables.grid
        same = look(other).id == value
    if other not in ("", None) and not same:
        raise InputError(
            f"budget {text!r} says {name} {value}; got {name}={other}: give one", field=name
        )
    merged[name] = value


def kept(defaults: Mapping[str, Any], stated: Mapping[str, Any], tables: Tables) -> dict[str, Any]:
    """The defaults that still hold: another device's speed, price and power do not, and no speed
    does beside one that was stated.
    """
    if any(stated.get(name) for name in _SPEEDS) or stated.get("utilisation") == "decomposed":
        defaults = {k: v for k, v in defaults.items() if k not in _SPEEDS}
    mine, other = defaults.get("device", ""), stated.get("device", "")
    if not other or (mine and tables.device(mine).id == tables.device(other).id):
        return dict(defaults)
    return {k: v for k, v in defaults.items() if k not in _OF_A_DEVICE}
