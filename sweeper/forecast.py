"""What is bet on a final run before it starts: its loss, its time and its money, as one text whose
SHA-256 seals it. No torch here.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from fitting.costs.small import compiling
from fitting.costs.tables import load_tables
from store.answers import RecommendationRow
from store.models import Run
from store.runs import largest_finished
from sweeper.spec import SweepSpec
from trainer.compiling import is_compiled
from trainer.config import RunSpec

COSTS = ("device_hours", "usd_total", "energy_kwh", "tco2e")
Band = dict[str, float]  # value, low, high


def forecast(
    session: Session, recommendation: RecommendationRow, run: Run, asked: SweepSpec, sweep_id: int
) -> dict[str, Any]:
    """For exactly this run: that it will be compiled is known here, and not to the law's price."""
    result = recommendation.result
    given = result.get("cost") or {}
    device = given.get("device", asked.priced_as)
    cost = {n: _band(given[n]) for n in COSTS if isinstance(given.get(n), dict)}
    faster = _only_this_compiles(session, run, sweep_id) and _on_cpu(device)
    return {
        "recommendation_id": recommendation.id,
        "fit_id": recommendation.fit_id,
        "spec_hash": run.spec_hash,
        "code_hash": run.code_hash,
        "n_params": run.n_params,
        "n_tokens": run.n_tokens,
        "flops": run.flops,
        "model": run.spec["model"],
        "recommended": {name: result[name] for name in ("n_params", "n_tokens")},
        "loss": result["loss"],
        "loss_unit": "nats/token",
        "verdict": result.get("verdict"),
        "method": result.get("method"),
        "cost": _compiled(cost, run.n_params) if faster and "device_hours" in cost else cost,
        "cost_device": device,
        "faster_by_compiling": faster,  # than the sweep's largest run, whose speed the law's price has
    }


def priced_at(device_hours: float, cost: Mapping[str, Band]) -> dict[str, float]:
    """The forecast's prices at the hours it took: money, energy and carbon are proportional."""
    if "device_hours" not in cost:
        return {}
    times = device_hours / cost["device_hours"]["value"]
    return {name: band["value"] * times for name, band in cost.items()}


def _only_this_compiles(session: Session, run: Run, sweep_id: int) -> bool:
    """Whether the final run will be compiled, and the sweep's largest run was not."""
    largest = largest_finished(session, sweep_id)
    if largest is None:
        return False
    before, now = (is_compiled(RunSpec.from_dict(r.spec), "cpu") for r in (largest, run))
    return now and not before


def _on_cpu(device: str | None) -> bool:
    row = load_tables().devices.get(device or "")
    return row is not None and row.family == "cpu"


def _compiled(cost: dict[str, Band], n_params: float) -> dict[str, Band]:
    """Hours divided by what compiling gains, and the wait for it; the other prices likewise."""
    gain, wait = compiling(n_params, load_tables())
    hours = cost["device_hours"]
    times = {
        at: (hours[at] / getattr(gain, opposite) + getattr(wait, at) / 3600) / hours[at]
        for at, opposite in (("value", "value"), ("low", "high"), ("high", "low"))
    }
    return {name: {at: band[at] * times[at] for at in band} for name, band in cost.items()}


def _band(figure: Mapping[str, Any]) -> Band:
    return {name: figure[name] for name in ("value", "low", "high")}


def canonical(value: dict[str, Any]) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
