"""Power, energy, carbon and water of a device-hour, each labelled with its accounting.

E_IT = device-h x device power x server overhead      E = E_IT x PUE
CO2e = E x intensity                                  water = E_IT x (WUE_on + PUE x WUE_off)
"""

from dataclasses import dataclass

from fitting.costs.assumptions import Assumptions
from fitting.costs.figures import G_PER_T, KG_PER_T, W_PER_KW, Figure, leaf, product
from fitting.costs.figures import total as add
from fitting.costs.rows import Device, Grid
from fitting.costs.tables import Tables
from fitting.errors import InputError, Note


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where it runs. `power_w` is None where the device's power is not published."""

    power_w: Figure | None  # one device and its share of the server
    pue: Figure
    g_per_kwh: Figure
    label: str  # such as "location-based, average"
    notes: tuple[Note, ...] = ()


def place(a: Assumptions, tables: Tables, device: Device) -> Place:
    """Power, PUE and carbon intensity under these assumptions.

    Raises:
        InputError: an unknown region, or market-based accounting without a contract's intensity.
    """
    grid = tables.grid(a.region) if a.region else None
    intensity, notes = _intensity(a, tables, grid)
    power, more = _power(a, tables, device)
    kind = "marginal" if a.marginal and a.g_per_kwh is None else "average"
    return Place(
        power_w=power,
        pue=_pue(a, tables, grid),
        g_per_kwh=intensity,
        label=f"{a.accounting}-based, {kind}",
        notes=notes + more,
    )


def energy_it(device_h: Figure, power_w: Figure) -> Figure:
    return product("energy_it_kwh", "kWh", [device_h, power_w], [W_PER_KW])


def energy(energy_it_kwh: Figure, where: Place) -> Figure:
    return product("energy_kwh", "kWh", [energy_it_kwh, where.pue])


def carbon(energy_kwh: Figure, where: Place) -> Figure:
    return product("tco2e", "t", [energy_kwh, where.g_per_kwh], [G_PER_T], note=where.label)


def water(energy_it_kwh: Figure, where: Place, tables: Tables) -> Figure:
    """WUE_off applies to the meter's energy, WUE_on to the IT energy: PUE enters once."""
    on = tables.constant("wue_on", name="WUE_on", unit="L/kWh")
    off = tables.constant("wue_off", name="WUE_off", unit="L/kWh")
    through_grid = product("PUE × WUE_off", "L/kWh", [where.pue, off])
    each = add("WUE_on + PUE × WUE_off", "L/kWh", [on, through_grid])
    return product("water_l", "L", [energy_it_kwh, each])


def embodied(device_h: Figure, device: Device, tables: Tables) -> Figure | None:
    """Manufacture, (device + its share of the server) / (life x use) [t]; None where unknown."""
    if device.embodied_kg is None:
        return None
    row = tables.constants["embodied"]
    source = f"{row['source']} ({row['as_of']})"
    n = device.devices_per_node
    share = leaf(
        "server's share",
        row["server_kg"] / n,
        "kg",
        band=(row["server_kg_low"] / n, row["server_kg_high"] / n),
        source=source,
    )
    chip = leaf("device", device.embodied_kg, "kg", source=device.source_of("embodied"))
    made = add("embodied", "kg", [chip, share])
    life = leaf("life", row["life_years"] * 8766.0, "h", source=source)
    use = leaf("use", row["use_share"], "of life", source=source)
    return product("tco2e_embodied", "t", [device_h, made], [life, use, KG_PER_T])


def equivalences(figures: dict[str, Figure], tables: Tables) -> dict[str, Figure]:
    """What a tonne or a megawatt-hour is like, as counts of something familiar."""
    result = {}
    for name, row in tables.constants["equivalence"].items():
        base = figures.get(row["of"])
        if base is not None:
            one = tables.constant("equivalence", name, unit=f"{base.unit} each").named("")
            result[name] = product(row["label"], "", [base], [one])
    return result


def _power(
    a: Assumptions, tables: Tables, device: Device
) -> tuple[Figure | None, tuple[Note, ...]]:
    preset = tables.preset(a.preset)
    drawn = _drawn(a, tables, device)
    if not drawn:
        message = f"the power of {device.id} is not published: give power_w for energy and CO2"
        return None, (Note("no_power", message),)
    factor = preset.get("node_overhead", device.node_overhead)
    if factor is None:
        message = f"no server overhead is known for {device.id}: 1.0 assumed"
        return product("power", "W", drawn), (Note("no_node_overhead", message),)
    source = preset["source"] if "node_overhead" in preset else device.source_of("node")
    overhead = leaf("server over device", factor, "", source=source)
    return product("power", "W", [*drawn, overhead]), ()


def _drawn(a: Assumptions, tables: Tables, device: Device) -> list[Figure]:
    """Factors of the device's own power [W]; none where it is unknown."""
    preset = tables.preset(a.preset)
    if a.power_w is not None:
        return [leaf("device power", a.power_w, "W")]
    if "power_w" in preset:
        return [leaf("device power", preset["power_w"], "W", source=preset["source"])]
    if device.tdp_w is None:
        return []
    tdp = leaf(f"TDP of {device.id}", device.tdp_w, "W", source=device.source_of("power"))
    if "power_share" in preset:
        return [tdp, leaf("share of TDP", preset["power_share"], "", source=preset["source"])]
    return [tdp, tables.constant("power_share", name="share of TDP")]


def _pue(a: Assumptions, tables: Tables, grid: Grid | None) -> Figure:
    preset = tables.preset(a.preset)
    if a.pue is not None:
        return leaf("PUE", a.pue, "")
    if "pue" in preset:
        return leaf("PUE", preset["pue"], "", source=preset["source"])
    if grid is not None and grid.pue is not None:
        return leaf("PUE", grid.pue, "", source=f"{grid.source} ({grid.as_of})")
    return tables.constant("pue", a.site, name="PUE")


def _intensity(
    a: Assumptions, tables: Tables, grid: Grid | None
) -> tuple[Figure, tuple[Note, ...]]:
    preset = tables.preset(a.preset)
    if a.g_per_kwh is not None:
        return leaf("intensity", a.g_per_kwh, "g/kWh"), ()
    if grid is None and "g_per_kwh" in preset:
        _check_accounting(a, str(preset["accounting"]), f"preset {a.preset!r}")
        return leaf("intensity", preset["g_per_kwh"], "g/kWh", source=preset["source"]), ()
    row = grid or tables.grid("world")
    _check_accounting(a, row.accounting, f"region {row.id!r}")
    value = row.marginal_g_per_kwh if a.marginal else row.g_per_kwh
    if value is None:
        raise InputError(
            f"region {row.id!r} has no marginal intensity; leave marginal out or give g_per_kwh",
            field="marginal",
        )
    base = leaf(f"intensity of {row.name}", value, "g/kWh", source=f"{row.source} ({row.as_of})")
    spread = tables.constant("intensity_band" if grid else "intensity_band_world", name="spread")
    found = product("intensity", "g/kWh", [base, spread], note=row.basis)
    message = "no region given: the world's average, with the spread of all countries as its band"
    return found, () if grid else (Note("assumed_region", message),)


def _check_accounting(a: Assumptions, known: str, what: str) -> None:
    if a.accounting != known:
        raise InputError(
            f"{what} has a {known}-based intensity only; {a.accounting}-based needs g_per_kwh of "
            "the contract, or an overlay row",
            field="accounting",
        )
