"""From a recommendation to a final run: the same trainer and recipe, more resources, and a
forecast that is sealed before the run is queued. No torch here.
"""

import json
from typing import Any

from sqlalchemy.orm import Session

from fitting.errors import InputError, RefusalError
from store import events
from store.answers import Launch, RecommendationRow
from store.conclusions import add_launch, get_fit, get_recommendation, launch_of_run
from store.models import Run
from store.settings import Settings
from store.states import RunKind, RunState
from store.sweeps import get_sweep
from sweeper.code import code_hash
from sweeper.forecast import canonical, forecast, sha256
from sweeper.points import Point, model_of, run_spec
from sweeper.resources import ALL_CPUS
from sweeper.spec import SweepSpec
from sweeper.submit import add_runs
from trainer.config import RunSpec
from trainer.data.manifest import Manifest
from trainer.validate import validate


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

    The same recommendation again gives the same launch: sealed once, run once, by as many cores
    and processes as were last asked for before it starts.

    Args:
        n_processes: that train it together on one machine; None: one for each GPU of the largest
            machine, or one on CPUs.

    Raises:
        InputError: the recommendation has no sweep behind it, or cannot be trained on its corpus,
            or its batch does not divide among the processes.
        RefusalError: the very run was trained already, so that a forecast would know its outcome.
    """
    recommendation = get_recommendation(session, recommendation_id)
    sweep_id, asked = _sweep_of(session, recommendation)
    spec = final_spec(settings, asked, recommendation, max_epochs=max_epochs)
    _check_processes(spec, n_processes)
    (run,) = add_runs(
        session,
        [(spec, ())],
        code=code_hash(),
        corpus=asked.data,
        device=asked.device,
        kind=RunKind.FINAL,
        n_cpus=n_cpus,
        n_processes=n_processes,
    )
    known = launch_of_run(session, run.id)
    if known is not None:
        known.cancelled_at, run.kind = None, RunKind.FINAL
        return known
    _refuse_known_outcome(run)
    bet = forecast(session, recommendation, run, asked, sweep_id)
    return _seal(session, bet, recommendation, run)


def _sweep_of(session: Session, recommendation: RecommendationRow) -> tuple[int, SweepSpec]:
    sweep_id = get_fit(session, recommendation.fit_id).sweep_id
    if sweep_id is None:
        raise InputError(
            f"recommendation {recommendation.id} rests on a study, which says nothing of data and "
            "recipe; launch one that rests on a sweep",
            field="recommendation_id",
        )
    return sweep_id, SweepSpec.model_validate(get_sweep(session, sweep_id).spec)


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
