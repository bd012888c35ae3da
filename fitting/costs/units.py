"""Reads an amount with its unit: "26M gpu-h", "$75M", "3.8e25", "30 days", "500 tCO2e".

Amounts come back in one unit per dimension: FLOP, device-hours, USD, days, tonnes, kWh.
"""

import math
import re
from dataclasses import dataclass

from fitting.errors import InputError

EXAMPLES = (
    "5.76e23FLOP, 26M gpu-h, $75M, 30 days on 10,000 h100, 500 tCO2e, 2 MWh, "
    "10 kUSD spot a100 in europe-west4"
)
LEAST_FLOP = 1e9  # less than one step of the smallest model anybody trains
UNITS = ("flop", "device_h", "usd", "days", "tco2e", "kwh")

_SUFFIX = {
    "": 1.0,
    "k": 1e3,
    "m": 1e6,
    "b": 1e9,
    "g": 1e9,
    "t": 1e12,
    "thousand": 1e3,
    "mio": 1e6,
    "million": 1e6,
    "bn": 1e9,
    "billion": 1e9,
    "trillion": 1e12,
}
_SI = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21, "y": 1e24}
_PETAFLOP_S_DAY = 1e15 * 86400
_DAYS = {"d": 1, "day": 1, "days": 1, "h": 1 / 24, "hour": 1 / 24, "hours": 1 / 24, "hrs": 1 / 24}
_DAYS |= {"week": 7, "weeks": 7, "month": 30, "months": 30, "year": 365, "years": 365}
_DAYS |= {"min": 1 / 1440, "minute": 1 / 1440, "minutes": 1 / 1440}
_TONNES = {"g": 1e-6, "kg": 1e-3, "t": 1.0, "kt": 1e3, "mt": 1e6, "tonnes": 1.0, "tons": 1.0}
_KWH = {"wh": 1e-3, "kwh": 1.0, "mwh": 1e3, "gwh": 1e6, "twh": 1e9}
_GENERIC = ("gpu", "device", "chip", "tpu", "core", "accelerator", "card", "machine", "cpu")

_PATTERNS: tuple[tuple[str, dict[str, float], str], ...] = (
    (r"([kmgtpezy]?)flops?", _SI, "flop"),
    (r"([kmb]?)(?:usd|dollars?|\$)", _SUFFIX, "usd"),
    (r"(g|kg|kt|mt|tonnes|tons|t|)co2(?:e|eq)?", {"": 1.0} | _TONNES, "tco2e"),
    (r"(kg|kt|tonnes|tons|t)", _TONNES, "tco2e"),
)
_NUMBER = re.compile(
    r"\s*(?P<dollar>us\$|\$|usd)?\s*(?P<number>[-+]?\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*"
)
_HOURS = re.compile(r"(?P<device>[a-z][\w.]*(?:-[\w.]+)*?)[ -]?(?:hours|hour|hrs|hr|h)(?![\w-])")
_WORD = re.compile(r"[a-z$][a-z0-9$/]*(?:-days?)?")


@dataclass(frozen=True, slots=True)
class Amount:
    """`value` in `unit`; `device` where the unit names one ("h100-hours"); `rest` unread."""

    value: float
    unit: str
    rest: str = ""
    device: str = ""


def parse_amount(text: str, *, field: str = "budget") -> Amount:
    """The amount at the start of `text`.

    Raises:
        InputError: no number, a negative or infinite one, an unknown unit, or FLOP too few to be
            meant; every message lists what can be written.
    """
    plain = normal(text)
    found = _NUMBER.match(plain)
    if found is None:
        raise InputError(f"{field} {text!r} has no amount; write one of: {EXAMPLES}", field=field)
    number, rest = float(found["number"]), plain[found.end() :]
    if found["dollar"]:
        amount: Amount | None = _dollars(number, rest)
    else:
        amount = _bare(number, rest) or _unit(number, rest) or _hours(number, rest)
    if amount is None:
        word = _WORD.match(rest)
        raise InputError(
            f"{field} {text!r}: unknown unit {(word[0] if word else rest)!r}; write one of: "
            f"{EXAMPLES}",
            field=field,
        )
    return _checked(amount, text, field)


def parse_count(text: str, *, field: str) -> float:
    """A plain number with an optional scale: 405e9, 405B, 15.6T.

    Raises:
        InputError: anything else, a negative number, or one that is not finite.
    """
    plain = normal(text)
    found = re.fullmatch(r"(?P<number>[-+]?\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*(?P<scale>[a-z]*)", plain)
    if found is None or found["scale"] not in _SUFFIX:
        raise InputError(
            f"{field} must be a number such as 405e9 or 405B; got {text!r}", field=field
        )
    value = float(found["number"]) * _SUFFIX[found["scale"]]
    if not 0 < value < math.inf:
        raise InputError(f"{field} must be positive and finite; got {text!r}", field=field)
    return value


def normal(text: str) -> str:
    """Lower case, no thousands separators, one kind of hyphen and of multiplication sign."""
    plain = re.sub(r"(?<=\d)[,_](?=\d{3})", "", text.strip().lower())
    plain = re.sub(r"\b(g|kg|kt|t|tonnes|tons)\s+(?:of\s+)?(?=co[2₂])", r"\1", plain)
    return plain.replace("×", "x").replace("–", "-").replace("₂", "2").replace("·", "-")


def _bare(number: float, rest: str) -> Amount | None:
    """A number alone is FLOP, as in 3.8e25."""
    return Amount(number, "flop") if not rest else None


def _dollars(number: float, rest: str) -> Amount:
    head = re.match(r"(thousand|million|billion|trillion|mio|bn|[kmbt])(?![a-z])\s*", rest)
    scale = _SUFFIX[head[1]] if head else 1.0
    rest = rest[head.end() :] if head else rest
    return Amount(number * scale, "usd", re.sub(r"^(usd|dollars?)\b", "", rest).strip())


def _hours(number: float, rest: str) -> Amount | None:
    """`gpu-h`, `M gpu-h`, `h100-hours`: hours of a device, not of the clock."""
    for scale_text, after in _splits(rest):
        found = _HOURS.match(after)
        if found is None or found["device"] in _SUFFIX:
            continue
        device = "" if found["device"] in _GENERIC else found["device"]
        left = after[found.end() :].strip()
        return Amount(number * _SUFFIX[scale_text], "device_h", left, device)
    return None


def _splits(rest: str) -> list[tuple[str, str]]:
    """Ways to read a leading scale: `m gpu-h` as millions, `gpu-h` as it stands."""
    found = re.match(r"(thousand|million|billion|trillion|mio|bn|[kmbt])\s+", rest)
    return ([(found[1], rest[found.end() :])] if found else []) + [("", rest)]


def _unit(number: float, rest: str) -> Amount | None:
    for scale_text, after in _splits(rest):
        found = _WORD.match(after)
        known = _known(found[0]) if found else None
        if found and known:
            factor, unit = known
            return Amount(number * _SUFFIX[scale_text] * factor, unit, after[found.end() :].strip())
    return None


def _known(word: str) -> tuple[float, str] | None:
    """(factor, unit) of one word, with an SI prefix or a scale letter in front of it."""
    if word in _DAYS:
        return _DAYS[word], "days"
    if word in _KWH:
        return _KWH[word], "kwh"
    if re.fullmatch(r"p(eta)?f(lops?)?(/s)?-?days?", word):
        return _PETAFLOP_S_DAY, "flop"
    for pattern, factors, unit in _PATTERNS:
        found = re.fullmatch(pattern, word)
        if found:
            return factors[found[1] or ""], unit
    return None


def _checked(amount: Amount, text: str, field: str) -> Amount:
    if not 0 < amount.value < math.inf:
        raise InputError(f"{field} must be positive and finite; got {text!r}", field=field)
    if amount.unit == "flop" and amount.value < LEAST_FLOP:
        raise InputError(
            f"{field} {text!r} is {amount.value:g} FLOP, less than one training step: give the unit "
            f"(1e3 PFLOP, 1e3 gpu-h, $1000) or a larger number; write one of: {EXAMPLES}",
            field=field,
        )
    return amount
