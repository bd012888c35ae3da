"""Tables for people: the three columns side by side, disclosed runs, and the answer to a budget.

The first row of each table is its header.
"""

import re
from collections.abc import Sequence

from fitting.costs.compare import Checked, SideBySide
from fitting.costs.estimate import Estimate
from fitting.costs.published import Choice
from fitting.costs.question import Answer, Rung, Sweep
from fitting.costs.show import LABELS, band, human, scaled


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
        f"Sweep: {100 * sweep.share:.3g}% of it, {', '.join([human(sweep.flops.value, 'FLOP'), *paid])}",
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
    return f"{scaled(low)} – {scaled(high)}"


def _rung(r: Rung) -> str:
    sizes = ", ".join(scaled(n) for n in r.n_params)
    return f"  {human(r.flops, 'FLOP')} each on N = {sizes}"


def _choice(name: str, c: Choice) -> tuple[str, ...]:
    spread = f" [{c.loss_interval[0]:.3f}, {c.loss_interval[1]:.3f}]" if c.loss_interval else ""
    sizes = f" [{_range(*c.interval_n_params)}]" if c.interval_n_params else ""
    return (
        name.replace("_", " "),
        scaled(c.n_params) + sizes,
        scaled(c.n_tokens),
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
            scaled(r.run.device_h),
            scaled(r.predicted.value),
            f"{scaled(r.predicted.low)} – {scaled(r.predicted.high)}",
            "yes" if r.inside else "NO",
            f"{r.implied_utilisation:.2f}",
        )
        for r in rows
    ]
    return [head, *body]


def _preset(e: Estimate) -> str:
    return f"{e.rates.assumptions.preset}, {e.rates.n_devices:,} × {e.rates.device.id}"
