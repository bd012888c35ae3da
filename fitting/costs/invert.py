"""From money, time, energy or carbon to compute: the rates of an estimate, divided by."""

from collections.abc import Callable

from fitting.costs.figures import (
    G_PER_T,
    H_PER_DAY,
    S_PER_H,
    W_PER_KW,
    Figure,
    constant,
    leaf,
    product,
)
from fitting.costs.rates import Rates
from fitting.errors import InputError

LABEL = {
    "flop": "FLOP",
    "device_h": "device-h",
    "usd": "USD",
    "days": "days",
    "tco2e": "t",
    "kwh": "kWh",
}


def flops_for(value: float, unit: str, rates: Rates, *, text: str = "") -> Figure:
    """C that `value` in `unit` (a key of `LABEL`) buys [FLOP].

    Raises:
        InputError: the rates lack what the unit needs: a number of devices, a price, a power.
    """
    amount = leaf("budget", value, LABEL[unit], source="")
    if unit == "flop":
        return amount.named("flops")
    hours = _HOURS[unit](amount, rates, text or f"{value:g} {LABEL[unit]}")
    return product("flops", "FLOP", [hours, rates.speed.flop_s, S_PER_H])


def _as_hours(amount: Figure, rates: Rates, text: str) -> Figure:
    del rates, text
    return amount


def _from_days(amount: Figure, rates: Rates, text: str) -> Figure:
    if rates.assumptions.n_devices is None:
        raise InputError(
            f"budget {text!r}: days of what? name the machine, as in '30 days on 8 h100'",
            field="n_devices",
        )
    n = constant(rates.n_devices, name="n_devices")
    return product("device_hours", "device-h", [amount, n, H_PER_DAY])


def _from_money(amount: Figure, rates: Rates, text: str) -> Figure:
    """People are paid first; the rest buys device-hours, each with its share of overhead."""
    if rates.price is None:
        raise InputError(
            f"budget {text!r}: no price of {rates.device.id} is known; give usd_per_device_h "
            "or an overlay row",
            field="usd_per_device_h",
        )
    left = amount
    if rates.staff is not None:
        people = rates.staff.value
        if people >= amount.value:
            raise InputError(
                f"budget {text!r} does not pay its own staff of {people:,.0f} USD: raise it, "
                "or set headcount=0",
                field="budget",
            )
        left = leaf("budget less staff", amount.value - people, "USD", source="")
    share = constant(1 + rates.assumptions.overhead_share, name="1 + overhead")
    return product("device_hours", "device-h", [left], [rates.price, share])


def _from_energy(amount: Figure, rates: Rates, text: str) -> Figure:
    per = [_power(rates, text), rates.place.pue]
    return product("device_hours", "device-h", [amount, W_PER_KW], per)


def _from_carbon(amount: Figure, rates: Rates, text: str) -> Figure:
    per = [_power(rates, text), rates.place.pue, rates.place.g_per_kwh]
    return product("device_hours", "device-h", [amount, G_PER_T, W_PER_KW], per)


def _power(rates: Rates, text: str) -> Figure:
    if rates.place.power_w is None:
        raise InputError(
            f"budget {text!r}: the power of {rates.device.id} is not published; give power_w",
            field="power_w",
        )
    return rates.place.power_w


_HOURS: dict[str, Callable[[Figure, Rates, str], Figure]] = {
    "device_h": _as_hours,
    "days": _from_days,
    "usd": _from_money,
    "kwh": _from_energy,
    "tco2e": _from_carbon,
}
