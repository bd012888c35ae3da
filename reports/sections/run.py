"""One run: what it measured and how often it was tried."""

from collections.abc import Mapping
from typing import Any

from reports import format as f
from reports.document import Section, Table

Json = Mapping[str, Any]


def sections(run: Json) -> tuple[Section, ...]:
    return (_measurements(run), _attempts(run))


def _measurements(run: Json) -> Section:
    rows = tuple(
        (
            f.count(m["n_tokens"]),
            f.power(m["flops"]),
            f.loss(m["loss"]),
            f.coefficient(m["loss_se"]),
            f.loss(m["bits_per_byte"]),
            f.coefficient(m["n_tokens"] / m["n_params"]),
        )
        for m in run["measurements"]
    )
    heads = ("#Tokens", "#6ND, FLOP", "#Loss, nats/token", "#± evaluation", "#Bits/byte", "#D/N")
    text = () if rows else ("None yet: each horizon brings one.",)
    tables = (Table(heads=heads, rows=rows),) if rows else ()
    return Section(title="Measurements", text=text, tables=tables)


def _attempts(run: Json) -> Section:
    rows = tuple(
        (
            str(a["number"]),
            a["state"],
            a["device"] or f.DASH,
            f.hours(a["train_seconds"] and a["train_seconds"] / 3600),
            f.energy(a["energy_kwh"]),
            a["worker"],
            a["reason"] or "",
        )
        for a in run["attempts"]
    )
    heads = ("Attempt", "State", "Device", "#Trained for", "#Energy measured", "Worker", "Reason")
    text = () if rows else ("None yet: the run waits in the queue.",)
    tables = (Table(heads=heads, rows=rows),) if rows else ()
    return Section(title="Attempts", text=text, tables=tables)
