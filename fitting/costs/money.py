"""What a device-hour costs, by provider and kind of contract, and what people cost.

A price is one row, never a blend; the band is the spread of the other current rows of its kind.
Where a kind has no row, it is derived from on-demand by the provider's usual discount, and said so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fitting.costs.assumptions import Assumptions
from fitting.costs.figures import Figure, leaf, product
from fitting.costs.rows import Device, Price
from fitting.costs.tables import Tables
from fitting.errors import InputError, Note

FAR, ABSURD = 2.0, 20.0  # beyond the range of a kind's rows: warn, refuse


def price(a: Assumptions, tables: Tables, device: Device) -> tuple[Figure | None, tuple[Note, ...]]:
    """Price of one device-hour [USD], after discount; None with a note where none is known.

    Raises:
        InputError: an unknown provider, or a price absurdly far off its kind.
    """
    found, notes = _listed(a, tables, device)
    if found is None:
        return None, notes
    if a.discount:
        left = leaf("1 - discount", 1 - a.discount, "")
        found = product("price", "USD/device-h", [found.named("list price"), left])
    return found, notes


def staff(a: Assumptions, preset: Mapping[str, Any]) -> Figure | None:
    """Headcount x loaded salary x years [USD]; None where nobody is counted."""
    source = str(preset.get("source", "")) if a.headcount is None else "given"
    people = preset.get("headcount", 0) if a.headcount is None else a.headcount
    salary = preset.get("salary_usd") if a.salary_usd is None else a.salary_usd
    years = preset.get("staff_years", 1) if a.staff_years is None else a.staff_years
    if not people or not years:
        return None
    if salary is None:
        raise InputError(
            f"headcount {people:g} needs salary_usd, the loaded cost of one person and year",
            field="salary_usd",
        )
    parts = [
        leaf("headcount", people, "people", source=source),
        leaf("loaded salary", salary, "USD/year", source=source),
        leaf("time", years, "years", source=source),
    ]
    return product("staff", "USD", parts)


def _listed(
    a: Assumptions, tables: Tables, device: Device
) -> tuple[Figure | None, tuple[Note, ...]]:
    preset = tables.preset(a.preset)
    if a.usd_per_device_h is not None:
        usd = a.usd_per_device_h
        return leaf("price", usd, "USD/device-h"), _off_kind(a, tables, device, usd, "given")
    if "usd_h" in preset and not (a.price_kind or a.provider):
        source = preset["source"]
        return leaf("price", preset["usd_h"], "USD/device-h", source=source), _old(
            a, preset["as_of"], f"the price of preset {a.preset!r}"
        )
    kind = a.price_kind or "on-demand"
    rows = _rows(tables.prices, device, kind, a.provider)
    if rows:
        return _row(a, tables, device, rows)
    return _derived(a, tables, device, kind)


def _rows(prices: Sequence[Price], device: Device, kind: str, provider: str) -> list[Price]:
    rows = [
        p
        for p in prices
        if p.device == device.id and p.kind == kind and (not provider or p.provider == provider)
    ]
    return sorted(rows, key=lambda p: not p.default)  # the default row first; stable


def _row(
    a: Assumptions, tables: Tables, device: Device, rows: Sequence[Price]
) -> tuple[Figure, tuple[Note, ...]]:
    chosen = rows[0]
    current = [p.usd_h for p in rows if not a.is_old(p.as_of)] or [chosen.usd_h]
    low, high = min(*current, chosen.usd_h), max(*current, chosen.usd_h)
    if a.provider or "overlay" in chosen.source:
        low = high = chosen.usd_h
    what = f"{chosen.kind} {device.id} at {chosen.provider}"
    found = leaf(
        f"price ({what})",
        chosen.usd_h,
        "USD/device-h",
        band=(low, high),
        source=f"{chosen.source} ({chosen.as_of})",
    )
    notes = _old(a, chosen.as_of, f"the price of {what}")
    if "overlay" in chosen.source:
        notes += _off_kind(a, tables, device, chosen.usd_h, "overlay")
    return found, notes


def _derived(
    a: Assumptions, tables: Tables, device: Device, kind: str
) -> tuple[Figure | None, tuple[Note, ...]]:
    base = _rows(tables.prices, device, "on-demand", a.provider)
    if kind == "on-demand" or not base:
        return None, (_missing(a, tables, device, kind),)
    listed, notes = _row(a, tables, device, base)
    discounts = tables.constants["discount"]
    group = "spot" if kind == "spot" else base[0].provider
    row = discounts.get(group, discounts["other"])
    off = row[kind]
    left = leaf(
        f"1 - usual {kind} discount",
        1 - off,
        "",
        band=(1 - row.get(f"{kind}_high", off), 1 - row.get(f"{kind}_low", off)),
        source=f"{row['source']} ({row['as_of']})",
    )
    message = f"no {kind} price of {device.id} is listed: on-demand less {off:.0%}"
    found = product(f"price ({kind}, derived)", "USD/device-h", [listed, left])
    return found, (*notes, Note("derived_price", message))


def _missing(a: Assumptions, tables: Tables, device: Device, kind: str) -> Note:
    known = sorted({p.provider for p in tables.prices if p.device == device.id})
    if a.provider and known:
        raise InputError(
            f"no {kind} price of {device.id} at {a.provider!r}; known providers are {known}",
            field="provider",
        )
    message = f"no price of {device.id} is known: give usd_per_device_h or an overlay row"
    return Note("no_price", message)


def _old(a: Assumptions, as_of: str, what: str) -> tuple[Note, ...]:
    if not a.is_old(as_of):
        return ()
    message = f"{what} is of {as_of}, more than a year before {a.date}: check it"
    return (Note("stale_price", message),)


def _off_kind(
    a: Assumptions, tables: Tables, device: Device, usd: float, origin: str
) -> tuple[Note, ...]:
    kind = a.price_kind or "on-demand"
    rows = [p for p in _rows(tables.prices, device, kind, "") if "overlay" not in p.source]
    if not rows:
        return ()
    low, high = min(p.usd_h for p in rows), max(p.usd_h for p in rows)
    message = (
        f"{usd:g} USD for an hour of {device.id} ({origin}) is far from the {kind} rows, "
        f"{low:g} to {high:g}: check the unit and the kind"
    )
    if not low / ABSURD <= usd <= high * ABSURD:
        raise InputError(message, field="usd_per_device_h")
    return () if low / FAR <= usd <= high * FAR else (Note("price_off_kind", message),)
