"""Numbers as people read them, for reports and pages: short, with units, never misleading.

A missing value is a dash, not a zero.
"""

import math
from collections.abc import Sequence

DASH = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_STEPS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def count(value: float | None) -> str:
    """Parameters and tokens, three digits: 67.1B, 1.40T, 950."""
    if value is None:
        return DASH
    for step, letter in _STEPS:
        if abs(value) >= step * 0.9995:
            return f"{_digits(value / step)}{letter}"
    return f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"


def power(value: float | None) -> str:
    """FLOP and other huge numbers: 3.00·10¹²; plain from 0.01 to 9999."""
    if value is None:
        return DASH
    if value == 0 or 0.01 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    exponent = math.floor(math.log10(abs(value)))
    mantissa = f"{value / 10**exponent:.2f}"
    if mantissa in ("10.00", "-10.00"):
        mantissa, exponent = mantissa.replace("10.00", "1.00"), exponent + 1
    return f"{mantissa}·10{str(exponent).translate(_SUPERSCRIPT)}"


def loss(value: float | None) -> str:
    """Nats per token, four decimals: differences of a thousandth matter."""
    return DASH if value is None else f"{value:.4f}"


def coefficient(value: float | None) -> str:
    """Four significant digits; the store keeps all of them."""
    return DASH if value is None else f"{value:.4g}"


def hours(value: float | None) -> str:
    """From seconds to years, two digits."""
    if value is None:
        return DASH
    for limit, factor, unit in ((1 / 60, 3600, "s"), (1, 60, "min"), (48, 1, "h")):
        if value < limit:
            return (
                f"{value * factor:.2g} {unit}"
                if value < limit / 6
                else f"{value * factor:.3g} {unit}"
            )
    return f"{_digits(value / 24)} days" if value < 24 * 730 else f"{_digits(value / 8766)} years"


def device_hours(value: float | None) -> str:
    """Work, not time: minutes and hours, then thousands of hours, never days."""
    if value is None or value < 48:
        return hours(value)
    return f"{count(value)} h"


def usd(value: float | None) -> str:
    """Dollars: cents below ten, and what is below a cent said so rather than rounded to nothing."""
    if value is None:
        return DASH
    if 0 < abs(value) < 0.01:
        return f"${value:.2g}"
    if abs(value) < 1000:
        return f"${value:.2f}" if abs(value) < 100 else f"${value:.0f}"
    return f"${count(value)}"


def mass(tonnes: float | None) -> str:
    """CO2e from grams to kilotonnes."""
    if tonnes is None:
        return DASH
    for limit, factor, unit in ((1e-3, 1e6, "g"), (1, 1e3, "kg"), (1e3, 1, "t")):
        if tonnes < limit:
            return f"{_digits(tonnes * factor)} {unit}"
    return f"{_digits(tonnes / 1e3)} kt"


def energy(kwh: float | None) -> str:
    """Energy from Wh to GWh."""
    if kwh is None:
        return DASH
    for limit, factor, unit in ((1, 1e3, "Wh"), (1e4, 1, "kWh"), (1e7, 1e-3, "MWh")):
        if kwh < limit:
            return f"{_digits(kwh * factor)} {unit}"
    return f"{_digits(kwh / 1e6)} GWh"


def percent(share: float | None) -> str:
    """A share of one, signed where negative: 1.3 %."""
    return DASH if share is None else f"{_digits(100 * share)} %"


def moment(iso: str) -> str:
    """An ISO 8601 time in UTC, to the second."""
    return f"{iso[:19].replace('T', ' ')} UTC"


def interval(bounds: Sequence[float | None] | None, form: str = "count") -> str:
    """`[low, high]` with the formatter named `form`; an open end is written as such."""
    if bounds is None:
        return DASH
    if bounds[0] is not None and bounds[0] == bounds[1]:
        return "exact"
    low, high = (None if b is None else FORMATS[form](b) for b in bounds)
    return f"{low or 'below'} … {high or 'unbounded'}"


def _digits(value: float) -> str:
    """Three significant digits, no exponent."""
    size = float(f"{abs(value):.3g}")  # 0.9996 is 1.00, not 1
    return (
        f"{value:.0f}"
        if size >= 100
        else f"{value:.1f}"
        if size >= 10
        else f"{value:.2f}"
        if size >= 1
        else f"{value:.2g}"
    )


FORMATS = {
    "count": count,
    "power": power,
    "loss": loss,
    "coefficient": coefficient,
    "hours": hours,
    "device_hours": device_hours,
    "usd": usd,
    "mass": mass,
    "energy": energy,
    "percent": percent,
}
