"""What came of a final run, set beside its sealed forecast, once, when the run has ended."""

import json
from typing import Any

from sqlalchemy.orm import Session

from store import events, measurements
from store.columns import now
from store.conclusions import launch_of_run
from store.models import Run
from store.runs import latest_attempt, measured_energy
from sweeper.forecast import canonical, priced_at, sha256


def compare(session: Session, run: Run) -> None:
    """Write the outcome beside the forecast of a final run that has ended; once."""
    made = launch_of_run(session, run.id)
    if made is None or made.outcome_json is not None:
        return
    result = outcome(session, run, json.loads(made.forecast_json))
    result["seal_intact"] = sha256(made.forecast_json) == made.forecast_sha256
    made.outcome_json, made.compared_at = canonical(result), now()
    session.flush()
    events.append(
        session, "launch.outcome", run_id=run.id, launch_id=made.id, loss=result.get("loss")
    )


def outcome(session: Session, run: Run, bet: dict[str, Any]) -> dict[str, Any]:
    """What came of it, in the forecast's words."""
    points = measurements.of_run(session, run.id)
    attempt = latest_attempt(session, run.id)
    result: dict[str, Any] = {"status": run.state.value, "reason": run.reason}
    if attempt is not None and attempt.train_seconds:
        n_devices = attempt.n_devices or 1
        result["train_seconds"], result["n_devices"] = attempt.train_seconds, n_devices
        result["cost"] = priced_at(attempt.train_seconds * n_devices / 3600, bet["cost"])
    metered = measured_energy(session, run.id)
    if metered is not None:  # beside cost.energy_kwh, which is estimated
        result["measured_energy_kwh"], result["energy_source"] = metered
    if not points:
        return result
    last, said = points[-1], bet["loss"]
    return result | {
        "n_params": run.n_params,
        "n_tokens": run.n_tokens,
        "flops": last.flops,
        "loss": last.loss,
        "loss_se": last.loss_se,
        "bits_per_byte": last.bits_per_byte,
        "relative_error": last.loss / said["value"] - 1,
        "inside": said["low"] <= last.loss <= said["high"],
    }
