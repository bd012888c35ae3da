"""An estimate as text for people: a summary, and every figure with its formula and sources."""

from collections.abc import Sequence

from fitting.costs.estimate import Estimate
from fitting.costs.figures import Figure
from fitting.costs.memory import GIB, Memory
from fitting.costs.thresholds import Crossing

LABELS = {
    "flops": "Compute (6ND)",
    "flops_exact": "Compute (exact count)",
    "flops_causal": "Compute (exact, causal)",
    "utilisation": "Utilisation of dense peak",
    "device_hours": "Device-hours",
    "days": "Wall clock",
    "usd": "Rent",
    "usd_overhead": "Overhead",
    "usd_staff": "Staff",
    "usd_total": "Money in all",
    "energy_it_kwh": "Energy of the servers",
    "energy_kwh": "Energy at the meter",
    "tco2e": "CO2e",
    "tco2e_embodied": "CO2e of manufacture",
    "water_l": "Water",
}
_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
Line = tuple[str, str, str]  # label, value, band


def human(value: float, unit: str) -> str:
    """26.33M device-h, $52.65M, 4,423 t, 3.791e25 FLOP."""
    if unit in ("FLOP", "FLOP/s"):
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{mantissa}e{int(exponent)} {unit}"
    if unit == "USD":
        return f"${scaled(value)}"
    if unit == "of the dense peak":
        return f"{value:.1%}"
    if unit in ("device-h", "kWh", "L"):
        return f"{scaled(value)} {unit}"
    return f"{plain(value)} {unit}".strip()


def band(f: Figure) -> str:
    """Low to high; empty where the value is a point."""
    if f.low == f.high == f.value:
        return ""
    low, high = (human(x, f.unit).removesuffix(f" {f.unit}") for x in (f.low, f.high))
    return f"{low} – {high}"


def lines(e: Estimate) -> list[Line]:
    """The summary, one row per figure."""
    shown = {**e.figures}
    ordered = [
        *_take(shown, "flops", "flops_exact", "flops_causal"),
        ("utilisation", e.inputs["utilisation"]),
    ]
    alone = "usd_staff" not in shown and "usd_overhead" not in shown
    hidden = {"flops", "flops_exact", "flops_causal"} | (
        {"usd_total"} if alone else set()
    )  # the rent is all
    hidden |= set() if e.rates.assumptions.n_devices else {"days"}  # of one device: misleading
    ordered += [(n, f) for n, f in shown.items() if n in LABELS and n not in hidden]
    rows = [(_label(n, e), human(f.value, f.unit), band(f)) for n, f in ordered]
    rows += [(f"  = {f.name}", plain(f.value), band(f)) for f in e.equivalences.values()]
    return rows + _extras(e)


def threshold_line(c: Crossing) -> str:
    over = "OVER" if c.crossed else "under"
    return f"{over} {c.row.flops:.0e} FLOP ({c.ratio:.3g}×): {c.row.name}, {c.status}"


def unverified_lines(e: Estimate) -> list[str]:
    """What rests on an assumption, or on a number that was not read again."""
    rows = e.unverified.items()
    return [f"unverified: {', '.join(names)}: {source}" for source, names in rows]


def explain(e: Estimate) -> str:
    """Every figure: formula with its numbers filled in, band, and numbered sources below."""
    notes: dict[str, int] = {}
    figures = {**e.inputs, **e.figures, **e.equivalences}
    parts = [_explained(f, notes) for f in figures.values()]
    parts += [e.goodput.formula + _marks(e.goodput.sources, notes)] if e.goodput else []
    for c in e.thresholds:
        parts.append(threshold_line(c) + _marks((f"{c.row.source} ({c.row.as_of})",), notes))
    return "\n".join([*parts, "", "Sources", *(f"[{n}] {s}" for s, n in notes.items())])


def _take(shown: dict[str, Figure], *names: str) -> list[tuple[str, Figure]]:
    return [(n, shown[n]) for n in names if n in shown]


def _label(name: str, e: Estimate) -> str:
    if name == "days":
        return f"Wall clock on {e.rates.n_devices:,} × {e.rates.device.id}"
    return f"{LABELS[name]} ({e.rates.place.label})" if name == "tco2e" else LABELS[name]


def _extras(e: Estimate) -> list[Line]:
    rows = []
    if e.goodput is not None:
        g = e.goodput
        every = f"MTBF {g.mtbf_h:.3g} h, a checkpoint every {g.interval_s:,.0f} s"
        rows.append(("Goodput at that size", f"{g.share:.1%}", every))
    if e.memory is not None:
        rows.append((f"Memory per device, of {e.rates.n_devices:,}", *_memory(e.memory)))
    for who, row in e.project.items():
        money = row.get("usd") or row["device_hours"]
        rows.append((f"Whole project ({who})", human(money.value, money.unit), band(money)))
    return rows


def _memory(m: Memory) -> tuple[str, str]:
    verdict = "fits" if m.fits else "does not fit"
    fewest = (
        f"FSDP needs {m.fewest_devices_fsdp:,} devices"
        if m.fewest_devices_fsdp
        else "FSDP never fits"
    )
    tp = f", tensor parallel {m.smallest_tp}" if m.smallest_tp else ", no tensor parallel size fits"
    return f"{m.bytes_per_device / GIB:,.1f} GiB, {verdict}", fewest + tp


def _explained(f: Figure, notes: dict[str, int]) -> str:
    return f.formula + (band(f) and f", band {band(f)}") + _marks(f.sources, notes)


def _marks(sources: Sequence[str], notes: dict[str, int]) -> str:
    """[1, 3], numbering sources as they come."""
    numbers = [notes.setdefault(s, len(notes) + 1) for s in sources if s != "given"]
    return f" {numbers}" if numbers else ""


def scaled(value: float) -> str:
    for factor, letter in _SCALES:
        if abs(value) >= factor and (letter != "k" or abs(value) >= 1e5):
            return f"{value / factor:.4g}{letter}"
    return plain(value)


def plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
