"""A number that can be checked: value, band, formula with its numbers filled in, and sources.

Low and high are about P10 and P90. Independent factors combine in quadrature (of logarithms in a
product, of differences in a sum): multiplying the extremes would overstate the band.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from fitting.errors import InputError


def text(x: float) -> str:
    """Enough digits to recompute by hand: 3.791e25, 26,325,000, 0.2600."""
    if x == 0:
        return "0"
    if abs(x) >= 1e13 or abs(x) < 1e-3:
        mantissa, exponent = f"{x:.4g}".split("e") if "e" in f"{x:.4g}" else (f"{x:.4g}", "0")
        return f"{mantissa}e{int(exponent)}" if int(exponent) else mantissa
    return f"{x:,.0f}" if abs(x) >= 1e4 else f"{x:,.4g}" if abs(x) < 1e3 else f"{x:,.6g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """`low <= value <= high`, all in `unit`. A leaf's formula is its own name and value."""

    name: str
    value: float
    low: float
    high: float
    unit: str
    formula: str
    sources: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
            "formula": self.formula,
            "sources": list(self.sources),
        }

    def named(self, name: str) -> Self:
        """The same figure under the name its next formula needs; its own formula stays."""
        return replace(self, name=name)

    @property
    def term(self) -> str:
        """How the figure appears inside another one's formula."""
        return f"{self.name} {text(self.value)} {self.unit}".strip()


def leaf(
    name: str,
    value: float,
    unit: str,
    *,
    band: tuple[float, float] | None = None,
    source: str = "given",
) -> Figure:
    """A number somebody stated: from a table, a preset, or the caller."""
    low, high = band or (value, value)
    return Figure(
        name=name,
        value=value,
        low=low,
        high=high,
        unit=unit,
        formula=f"{name} = {text(value)} {unit}".rstrip(),
        sources=(source,) if source else (),
    )


def constant(value: float, unit: str = "", name: str = "") -> Figure:
    """A conversion, true by definition, or a count that needs no source."""
    return leaf(name, value, unit, source="")


S_PER_H = constant(3600.0, "s/h")
H_PER_DAY = constant(24.0, "h/day")
W_PER_KW = constant(1000.0, "W/kW")
G_PER_T = constant(1e6, "g/t")
KG_PER_T = constant(1000.0, "kg/t")


def product(
    name: str, unit: str, times: Sequence[Figure], per: Sequence[Figure] = (), *, note: str = ""
) -> Figure:
    """The product of `times` over the product of `per`; every factor positive.

    Raises:
        InputError: the result leaves the range of a float.
    """
    value = math.prod(f.value for f in times) / math.prod(f.value for f in per)
    if not 0 < value < math.inf:
        raise InputError(f"{name} is out of range: {_formula(times, per)}", field=name)
    up = [_gap(f.high, f.value) for f in times] + [_gap(f.value, f.low) for f in per]
    down = [_gap(f.value, f.low) for f in times] + [_gap(f.high, f.value) for f in per]
    return Figure(
        name=name,
        value=value,
        low=value * math.exp(-math.hypot(*down)),
        high=value * math.exp(math.hypot(*up)),
        unit=unit,
        formula=f"{name} = {_formula(times, per)} = {f'{text(value)} {unit}'.strip()}"
        + (note and f" ({note})"),
        sources=_sources([*times, *per]),
    )


def total(name: str, unit: str, parts: Sequence[Figure]) -> Figure:
    """The sum of `parts`."""
    value = math.fsum(f.value for f in parts)
    terms = " + ".join(f.term for f in parts)
    return Figure(
        name=name,
        value=value,
        low=value - math.hypot(*(f.value - f.low for f in parts)),
        high=value + math.hypot(*(f.high - f.value for f in parts)),
        unit=unit,
        formula=f"{name} = {terms} = {text(value)} {unit}",
        sources=_sources(parts),
    )


def positive(field: str, value: float, unit: str = "") -> float:
    """Raises InputError unless `value` is a finite number above zero."""
    if not 0 < value < math.inf:
        raise InputError(
            f"{field} must be a positive finite number{unit and f' of {unit}'}; got {value}",
            field=field,
        )
    return float(value)


def _gap(a: float, b: float) -> float:
    return math.log(a / b) if a != b else 0.0


def _formula(times: Sequence[Figure], per: Sequence[Figure]) -> str:
    head = " × ".join(f.term for f in times) or "1"
    if not per:
        return head
    tail = " × ".join(f.term for f in per)
    return f"{head} / ({tail})" if len(per) > 1 else f"{head} / {tail}"


def _sources(parts: Sequence[Figure]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s for f in parts for s in f.sources))
