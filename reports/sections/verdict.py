"""The sealed forecast, and what came of it."""

from collections.abc import Mapping
from typing import Any

from reports import format as f
from reports.document import Fact, Note, Section, Table

Json = Mapping[str, Any]
COSTS = (
    ("device_hours", "Device-hours", "device_hours"),
    ("usd_total", "Price", "usd"),
    ("energy_kwh", "Energy", "energy"),
    ("tco2e", "CO2e", "mass"),
)


def forecast(launch: Json) -> Section:
    """Forecast against outcome, with the seal that proves which came first."""
    bet, outcome = launch["forecast"], launch["outcome"] or {}
    said = bet["loss"]
    rows: list[tuple[str, ...]] = [
        (
            "Loss (nats/token)",
            f.loss(said["value"]),
            f.interval((said["low"], said["high"]), "loss"),
            f.loss(outcome.get("loss")),
            f.percent(outcome.get("relative_error")),
        )
    ]
    rows += [
        _cost(label, form, bet["cost"][name], (outcome.get("cost") or {}).get(name))
        for name, label, form in COSTS
        if name in bet["cost"]
    ]
    return Section(
        title="Forecast against outcome",
        text=(
            f"Sealed {f.moment(launch['sealed_at'])}, before run {launch['run_id']} was queued.",
            f"SHA-256 of the forecast: {launch['forecast_sha256']}",
        ),
        facts=(
            Fact(label="Parameters", value=f.count(bet["n_params"])),
            Fact(label="Tokens", value=f.count(bet["n_tokens"])),
            Fact(label="Compute, FLOP", value=f.power(bet["flops"])),
            *_metered(outcome),
        ),
        notes=(_verdict(launch),),
        tables=(
            Table(
                heads=("", "#Forecast", "#90 % interval", "#Outcome", "#Off by"), rows=tuple(rows)
            ),
        ),
    )


def _metered(outcome: Json) -> tuple[Fact, ...]:
    """What a meter saw, where the machine has one; the table has what was estimated."""
    if outcome.get("measured_energy_kwh") is None:
        return ()
    label = f"Energy by {outcome['energy_source']}"
    return (Fact(label=label, value=f.energy(outcome["measured_energy_kwh"])),)


def _cost(label: str, form: str, said: Json, came: float | None) -> tuple[str, ...]:
    show = f.FORMATS[form]
    off = None if came is None else came / said["value"] - 1
    return (
        label,
        show(said["value"]),
        f.interval((said["low"], said["high"]), form),
        show(came),
        f.percent(off),
    )


def _verdict(launch: Json) -> Note:
    outcome = launch["outcome"]
    if outcome is None:
        return Note(text=f"No outcome yet: the run is {launch['state']}.")
    if not outcome.get("seal_intact", True):
        return Note(text="The seal is broken: the forecast was changed after it.", kind="bad")
    if "inside" not in outcome:
        why = outcome.get("reason") or "no measurement"
        return Note(text=f"The run ended as {outcome['status']}: {why}.", kind="bad")
    if outcome["inside"]:
        return Note(text="The outcome lies inside the forecast's interval.", kind="good")
    return Note(text="The outcome lies outside the forecast's interval.", kind="bad")
