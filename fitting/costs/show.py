"""An estimate as text for people: a summary, and every figure with its formula and sources."""

import re
from collections.abc import Sequence

from fitting.costs.compare import Checked, SideBySide
from fitting.costs.estimate import Estimate
from fitting.costs.figures import Figure
from fitting.costs.memory import GIB, Memory
from fitting.costs.published import Choice
from fitting.costs.question import Answer, Rung, Sweep
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
        return f"${_scaled(value)}"
    if unit == "of the dense peak":
        return f"{value:.1%}"
    if unit in ("device-h", "kWh", "L"):
        return f"{_scaled(value)} {unit}"
    return f"{_plain(value)} {unit}".strip()


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
    rows += [(f"  = {f.name}", _plain(f.value), band(f)) for f in e.equivalences.values()]
    return rows + _extras(e)


def threshold_line(c: Crossing) -> str:
    over = "OVER" if c.crossed else "under"
    return f"{over} {c.row.flops:.0e} FLOP ({c.ratio:.3g}×): {c.row.name}, {c.status}"


def explain(e: Estimate) -> str:
    """Every figure: formula with its numbers filled in, band, and numbered sources below."""
    notes: dict[str, int] = {}
    figures = {**e.inputs, **e.figures, **e.equivalences}
    parts = [_explained(f, notes) for f in figures.values()]
    parts += [e.goodput.formula + _marks(e.goodput.sources, notes)] if e.goodput else []
    for c in e.thresholds:
        parts.append(threshold_line(c) + _marks((f"{c.row.source} ({c.row.as_of})",), notes))
    return "\n".join([*parts, "", "Sources", *(f"[{n}] {s}" for s, n in notes.items())])


def compared(s: SideBySide) -> list[tuple[str, ...]]:
    """Lecture, Meta and ours by row, the first row being the header."""
    columns = (s.lecture, s.meta, s.ours)
    names = (
        "flops",
        "utilisation",
        "device_hours",
        "days",
        "usd",
        "usd_staff",
        "energy_kwh",
        "tco2e",
    )
    rows = [("", "lecture", "Meta (its hours)", "ours"), ("Preset", *(_preset(c) for c in columns))]
    for name in names:
        found = [c.get(name) or c.inputs.get(name) for c in columns]
        rows.append((LABELS[name], *(human(f.value, f.unit) if f else "–" for f in found)))
        if found[-1] is not None and band(found[-1]):
            rows.append(("", "", "", band(found[-1])))
    rows.append(("CO2e disclosed", "", f"{s.disclosed_tco2e:,.0f} t", ""))
    return rows


def answered(a: Answer) -> tuple[list[str], list[tuple[str, ...]], list[str]]:
    """The answer's first lines, a table of what to train by variant, and the laws' notes."""
    C, sweep = a.budget.flops, a.sweep
    time = "days" if a.budget.rates.assumptions.n_devices else "device_hours"
    paid = [human(f.value, f.unit) for n, f in sweep.figures.items() if n in (time, "usd")]
    head = [
        f"{a.budget.budget.text}: {human(C.value, 'FLOP')} ({band(C) or 'exactly'})",
        f"Law: {a.law}",
        f"Sweep: {sweep.share:.0%} of it, {', '.join([human(sweep.flops.value, 'FLOP'), *paid])}",
        f"  ({_computed(sweep)})",
        *(_rung(r) for r in sweep.rungs),
        "Then train" + _over_band(a),
    ]
    rows: list[tuple[str, ...]] = [("variant", "N*", "D*", "D*/N*", "loss", "verdict")]
    rows += [_choice(name, c) for name, c in a.choices.items()]
    notes = [
        f"{name.replace('_', ' ')}: {n.message}" for name, c in a.choices.items() for n in c.notes
    ]
    return head, rows, notes


def _computed(sweep: Sweep) -> str:
    return (
        f"computed, were the law's form certain: {sweep.computed.share:.2g} of it is best, up to "
        f"{sweep.computed.flat[1]:.2g} costs less than .1 % of the final loss"
    )


def _over_band(a: Answer) -> str:
    if not band(a.budget.flops):
        return ":"
    low, high = a.at_band
    sizes, tokens = _range(low.n_params, high.n_params), _range(low.n_tokens, high.n_tokens)
    return f" (N* {sizes}, D* {tokens} over the budget's band):"


def _range(low: float, high: float) -> str:
    return f"{_scaled(low)} – {_scaled(high)}"


def _rung(r: Rung) -> str:
    sizes = ", ".join(_scaled(n) for n in r.n_params)
    return f"  {human(r.flops, 'FLOP')} each on N = {sizes}"


def _choice(name: str, c: Choice) -> tuple[str, ...]:
    spread = f" [{c.loss_interval[0]:.3f}, {c.loss_interval[1]:.3f}]" if c.loss_interval else ""
    sizes = f" [{_range(*c.interval_n_params)}]" if c.interval_n_params else ""
    return (
        name.replace("_", " "),
        _scaled(c.n_params) + sizes,
        _scaled(c.n_tokens),
        f"{c.n_tokens / c.n_params:.1f}",
        f"{c.loss:.4f}{spread}",
        c.verdict,
    )


def checked(rows: Sequence[Checked]) -> list[tuple[str, ...]]:
    """Predicted against disclosed device-hours, the first row being the header."""
    head: tuple[str, ...] = (
        "run",
        "device",
        "disclosed",
        "predicted",
        "band",
        "inside",
        "util.",
    )
    body: list[tuple[str, ...]] = [
        (
            r.run.id,
            re.sub(r"-\d+gb$", "", r.run.device),
            _scaled(r.run.device_h),
            _scaled(r.predicted.value),
            f"{_scaled(r.predicted.low)} – {_scaled(r.predicted.high)}",
            "yes" if r.inside else "NO",
            f"{r.implied_utilisation:.2f}",
        )
        for r in rows
    ]
    return [head, *body]


def _preset(e: Estimate) -> str:
    return f"{e.rates.assumptions.preset}, {e.rates.n_devices:,} × {e.rates.device.id}"


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
        rows.append(("Memory per device", *_memory(e.memory)))
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


def _scaled(value: float) -> str:
    for factor, letter in _SCALES:
        if abs(value) >= factor and (letter != "k" or abs(value) >= 1e5):
            return f"{value / factor:.4g}{letter}"
    return _plain(value)


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
