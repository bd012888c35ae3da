"""What was planned and what was run: the first sections of a sweep's report."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports import format as f
from reports.document import Fact, Note, Section, Table

Json = Mapping[str, Any]
PRICED = (
    ("Device-hours", "device_hours", "device_hours"),
    ("Price", "usd_total", "usd"),
    ("Energy", "energy_kwh", "energy"),
    ("CO2e", "tco2e", "mass"),
)


def plan(sweep: Json) -> Section:
    """What the sweep was expected to take, and what was left out of it."""
    price, progress = sweep["price"], sweep["progress"]
    return Section(
        title="Plan",
        facts=(
            Fact(label="Runs", value=str(progress["n_runs"])),
            Fact(
                label="Compute, FLOP",
                value=f.power(progress["flops"]),
                note=f"{f.power(progress['flops_done'])} done",
            ),
            *(_fact(label, price["figures"].get(name), form) for label, name, form in PRICED),
        ),
        notes=tuple(Note(text=note) for note in sweep["notes"]),
    )


def runs(rows: Sequence[Json]) -> Section:
    """Every run with what became of it; those that gave no point say why."""
    dropped = [r for r in rows if r["state"] != "finished"]
    used = len(rows) - len(dropped)
    notes = tuple(
        Note(text=f"Run {r['id']} ({f.count(r['n_params'])}) is {r['state']}: {r['reason']}")
        for r in dropped
        if r["reason"]
    )
    return Section(
        title="Runs",
        text=(f"{used} of {len(rows)} runs finished; {len(dropped)} gave no final measurement.",),
        notes=notes,
        tables=(
            Table(
                heads=("Run", "State", "#N", "#Tokens", "#FLOP", "#Last loss", "#Attempts lost"),
                rows=tuple(_run(r) for r in rows),
                caption="N counts what multiplies each token; last loss is the training loss.",
            ),
        ),
    )


def _run(r: Json) -> tuple[str, ...]:
    return (
        str(r["id"]),
        r["state"],
        f.count(r["n_params"]),
        f.count(r["n_tokens"]),
        f.power(r["flops"]),
        f.loss(r["last_loss"]),
        str(r["n_failures"] + r["n_preemptions"]),
    )


def _fact(label: str, figure: Json | None, form: str) -> Fact:
    if figure is None:
        return Fact(label=label, value=f.DASH, note="no price or power is known for this device")
    return Fact(
        label=label,
        value=f.FORMATS[form](figure["value"]),
        note=f.interval((figure["low"], figure["high"]), form),
    )
