"""From a recommendation to a final run: the same trainer and recipe, more resources, and a
forecast that is sealed before the run is queued and compared when it ends. No torch here.
"""

import hashlib
import json
from typing import Any

from sqlalchemy.orm import Session

from fitting.costs.estimate import estimate
from fitting.errors import InputError, RefusalError
from store import events, measurements
from store.answers import Launch, RecommendationRow
from store.columns import now
from store.conclusions import add_launch, get_fit, get_recommendation, launch_of_run
from store.models import Run
from store.runs import latest_attempt, measured_energy
from store.settings import Settings
from store.states import RunKind, RunState
from store.sweeps import get_sweep
from sweeper.code import code_hash
from sweeper.points import Point, model_of, run_spec
from sweeper.resources import ALL_CPUS
from sweeper.spec import SweepSpec
from sweeper.submit import add_run
from trainer.config import RunSpec
from trainer.data.manifest import Manifest
from trainer.validate import validate

COSTS = ("device_hours", "usd_total", "energy_kwh", "tco2e")


def launch(
    session: Session,
    settings: Settings,
    recommendation_id: int,
    *,
    max_epochs: float | None = None,
    n_cpus: int = ALL_CPUS,
    n_processes: int | None = None,
) -> Launch:
    """Seal the forecast, then queue the final run, in the caller's transaction.

    The same recommendation again gives the same launch: sealed once, run once.

    Args:
        n_processes: that train it together on one machine; None: one for each GPU of the largest
            machine, or one on CPUs.

    Raises:
        InputError: the recommendation has no sweep behind it, or cannot be trained on its corpus,
            or its batch does not divide among the processes.
        RefusalError: the very run was trained already, so that a forecast would know its outcome.
    """
    recommendation = get_recommendation(session, recommendation_id)
    asked = _sweep_spec(session, recommendation)
    spec = final_spec(settings, asked, recommendation, max_epochs=max_epochs)
    _check_processes(spec, n_processes)
    run = add_run(
        session,
        spec,
        code=code_hash(),
        corpus=asked.data,
        device=asked.device,
        kind=RunKind.FINAL,
        n_cpus=n_cpus,
        n_processes=n_processes,
    )
    known = launch_of_run(session, run.id)
    if known is not None:
        known.cancelled_at = None
        return known
    _refuse_known_outcome(run)
    run.kind, run.n_cpus, run.n_processes = RunKind.FINAL, n_cpus, n_processes
    return _seal(session, forecast(recommendation, run, asked), recommendation, run)


def _sweep_spec(session: Session, recommendation: RecommendationRow) -> SweepSpec:
    sweep_id = get_fit(session, recommendation.fit_id).sweep_id
    if sweep_id is None:
        raise InputError(
            f"recommendation {recommendation.id} rests on a study, which says nothing of data and "
            "recipe; launch one that rests on a sweep",
            field="recommendation_id",
        )
    return SweepSpec.model_validate(get_sweep(session, sweep_id).spec)


def final_spec(
    settings: Settings,
    asked: SweepSpec,
    recommendation: RecommendationRow,
    *,
    max_epochs: float | None = None,
) -> RunSpec:
    """The sweep's data, context, recipe and precision; N as the ladder has it, and D such that
    N D is as recommended: the training compute is the one that was asked for.

    Raises:
        InputError: it cannot be trained on this corpus.
    """
    manifest = Manifest.load(settings.corpora / asked.data)
    result = recommendation.result
    path = "recommendation"
    model = model_of(result["n_params"], asked, manifest.vocab_size, path)
    n_tokens = result["n_params"] * result["n_tokens"] / model.n_params
    spec = run_spec(
        model,
        (Point(n_tokens=n_tokens, budget_flops=recommendation.flops, field=path),),
        seed=asked.seeds[0],
        fingerprint=manifest.fingerprint,
        max_epochs=max_epochs or asked.max_epochs,
        precision=asked.precision,
        changes=asked.recipe,
    )
    validate(spec, manifest)
    return spec


def forecast(recommendation: RecommendationRow, run: Run, asked: SweepSpec) -> dict[str, Any]:
    """What is bet: the loss with its interval, the time and the money, for exactly this run."""
    result = recommendation.result
    cost = result.get("cost") or {}
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
        "cost": {n: _band(cost[n]) for n in COSTS if isinstance(cost.get(n), dict)},
        "cost_device": cost.get("device", asked.priced_as),
    }


def _band(figure: dict[str, Any]) -> dict[str, float]:
    return {name: figure[name] for name in ("value", "low", "high")}


def _check_processes(spec: RunSpec, n_processes: int | None) -> None:
    windows = spec.batch_tokens // spec.model.context
    if n_processes is not None and windows % n_processes:
        raise InputError(
            f"n_processes must divide the {windows} windows of a batch of {spec.batch_tokens} "
            f"tokens; got {n_processes} (leave it out to have it chosen)",
            field="n_processes",
        )


def _refuse_known_outcome(run: Run) -> None:
    if run.state is not RunState.QUEUED:
        raise RefusalError(
            f"run {run.id} is the very run to launch and is {run.state.value} already; a forecast "
            "sealed now would prove nothing (ask for another budget)",
            code="outcome_known",
        )


def _seal(
    session: Session, bet: dict[str, Any], recommendation: RecommendationRow, run: Run
) -> Launch:
    text = canonical(bet)
    made = add_launch(
        session,
        recommendation_id=recommendation.id,
        run_id=run.id,
        forecast_json=text,
        forecast_sha256=sha256(text),
    )
    events.append(
        session, "launch.sealed", run_id=run.id, launch_id=made.id, sha256=made.forecast_sha256
    )
    return made


def canonical(value: dict[str, Any]) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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
        result["cost"] = _cost(attempt.train_seconds * n_devices / 3600, bet)
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


def _cost(device_hours: float, bet: dict[str, Any]) -> dict[str, float]:
    """Priced as the forecast was, at the hours it took."""
    figures = estimate(
        flops=bet["flops"], device_hours=device_hours, device=bet["cost_device"] or "cpu-core"
    )
    return {n: f.value for n in COSTS if (f := figures.get(n))}


def as_dict(made: Launch, run: Run) -> dict[str, Any]:
    """A launch as clients see it."""
    return {
        "id": made.id,
        "recommendation_id": made.recommendation_id,
        "run_id": made.run_id,
        "state": run.state.value,
        "forecast": json.loads(made.forecast_json),
        "forecast_sha256": made.forecast_sha256,
        "sealed_at": made.sealed_at.isoformat(),
        "outcome": None if made.outcome_json is None else json.loads(made.outcome_json),
        "compared_at": made.compared_at and made.compared_at.isoformat(),
        "cancelled_at": made.cancelled_at and made.cancelled_at.isoformat(),
    }
