"""Prices per device-hour and per FLOP, before any amount of compute is named.

Everything that follows from compute is linear in it (people apart): `estimate` multiplies these
rates and `budget` divides by them, so one inverts the other exactly.
"""

from dataclasses import dataclass

from fitting.costs import energy as en
from fitting.costs import money
from fitting.costs.assumptions import Assumptions
from fitting.costs.figures import H_PER_DAY, S_PER_H, Figure, constant, leaf, product, total
from fitting.costs.rows import Device
from fitting.costs.speed import Speed, speed
from fitting.costs.tables import Tables, load_tables
from fitting.errors import Note


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """What the assumptions come to, before any amount of compute."""

    tables: Tables
    assumptions: Assumptions
    device: Device
    speed: Speed
    price: Figure | None  # USD per device-hour, overhead apart
    staff: Figure | None  # USD
    place: en.Place
    notes: tuple[Note, ...]

    @property
    def n_devices(self) -> int:
        return self.assumptions.n_devices or 1


def resolve(a: Assumptions, tables: Tables | None = None) -> Rates:
    """Look everything up once. Raises InputError, see `estimate`."""
    tables = tables or load_tables()
    device, notes = a.resolve_device(tables)
    fast = speed(a, tables, device)
    usd, more = money.price(a, tables, device)
    where = en.place(a, tables, device)
    return Rates(
        tables=tables,
        assumptions=a,
        device=device,
        speed=fast,
        price=usd,
        staff=money.staff(a, tables.preset(a.preset)),
        place=where,
        notes=notes + fast.notes + more + where.notes,
    )


def price(rates: Rates, flops: Figure, *, device_hours: Figure | None = None) -> dict[str, Figure]:
    """Figures of a run of `flops`, from hours to water, by name."""
    hours = device_hours or product(
        "device_hours", "device-h", [flops], [rates.speed.flop_s, S_PER_H]
    )
    n = constant(rates.n_devices, name="n_devices")
    result = [hours, product("days", "days", [hours], [n, H_PER_DAY])]
    result += _money(rates, hours)
    result += _energy(rates, hours)
    return {f.name: f for f in result}


def _money(rates: Rates, hours: Figure) -> list[Figure]:
    if rates.price is None:
        return []
    usd = product("usd", "USD", [hours, rates.price])
    parts = [usd]
    if rates.assumptions.overhead_share:
        share = leaf("overhead share", rates.assumptions.overhead_share, "")
        parts.append(product("usd_overhead", "USD", [usd, share]))
    if rates.staff is not None:
        parts.append(rates.staff.named("usd_staff"))
    return [*parts, total("usd_total", "USD", parts)]


def _energy(rates: Rates, hours: Figure) -> list[Figure]:
    made = en.embodied(hours, rates.device, rates.tables)
    if rates.place.power_w is None:
        return [made] if made else []
    it = en.energy_it(hours, rates.place.power_w)
    metered = en.energy(it, rates.place)
    result = [it, metered, en.carbon(metered, rates.place)]
    result += [made] if made else []
    return [*result, en.water(it, rates.place, rates.tables)]
