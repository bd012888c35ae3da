"""From the files of a run's folder to rows: progress while it trains, its end when it ended."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from store import curves, events, measurements
from store.models import Attempt, Run
from store.states import RunState
from sweeper import attempts, files, outcome, settling

Line = Mapping[str, Any]


def ending(folder: Path, attempt: int, spec_hash: str) -> dict[str, Any] | None:
    """How the attempt ended, as its worker wrote it; None if it did not get that far.

    The trainer's own result counts too: a worker may have died between the two files.
    """
    done = files.read_json(files.done_file(folder, attempt))
    if done is not None and done.get("attempt") == attempt:
        return done
    result = files.read_json(folder / "result.json")
    ended = result is not None and result.get("status") in ("finished", "diverged")
    return result if result and ended and result.get("spec_hash") == spec_hash else None


def progress(session: Session, run: Run, lines: Sequence[Line]) -> None:
    """Curve points, and the figures that a list of runs shows."""
    curves.add_points(session, run, [_curve_line(line) for line in lines])
    last = lines[-1]
    share = last.get("share", last["n_tokens"] / run.n_tokens)
    run.n_tokens_done = min(run.n_tokens, round(share * run.n_tokens))
    run.last_loss = curves.finite_or_none(last.get("loss"))
    run.tok_s = curves.finite_or_none(last.get("tok_s"))
    session.flush()


def _curve_line(line: Line) -> Line:
    return {**line, "branch": line.get("horizon") if line.get("phase") == "branch" else 0}


def say_progress(session: Session, run: Run) -> None:
    said = {"n_tokens_done": run.n_tokens_done, "loss": run.last_loss, "tok_s": run.tok_s}
    settling.say_run(session, run, kind="run.progress", **said)


def measured(session: Session, run: Run, points: Sequence[Line]) -> None:
    """Store points that are not there yet, with the budget each was asked for."""
    known = {m.n_tokens for m in measurements.of_run(session, run.id)}
    budgets = {int(horizon): flops for horizon, flops in run.budgets}
    for point in points:
        if point["n_tokens"] in known or not isfinite(point["loss"]):
            continue
        asked = {"budget_flops": budgets.get(int(point["n_tokens"]))}
        row = measurements.add_to_run(session, run, {**point, **asked})
        for sweep_id in settling.sweep_ids(session, run):
            said = {"n_params": row.n_params, "n_tokens": row.n_tokens, "loss": row.loss}
            events.append(session, "measurement.added", sweep_id=sweep_id, run_id=run.id, **said)


def conclude(session: Session, run: Run, attempt: Attempt, ended: Line) -> None:
    """Bring run and attempt to where `ended` says they are."""
    attempt.device = ended.get("device")
    _metered(attempt, ended.get("energy"))
    status, reason = ended.get("status"), str(ended.get("reason") or "") or None
    points = list(ended.get("measurements") or ())
    if status in ("finished", "diverged"):
        _over(session, run, attempt, ended, points)
    elif status in ("stopped", "stale"):
        attempts.put_back(session, attempt, reason or "stopped")
    elif status == "oom" and ended.get("can_shrink"):
        attempts.put_back(session, attempt, reason or "out of memory")
    elif status == "oom":
        attempts.fail(session, attempt, reason or "out of memory")
    else:
        permanent = bool(ended.get("permanent"))
        attempts.fail(session, attempt, reason or f"status {status!r}", permanent=permanent)


def _metered(attempt: Attempt, energy: Line | None) -> None:
    """What a meter said of this attempt; null where the machine has none."""
    if energy is not None:
        attempt.energy_kwh = curves.finite_or_none(energy.get("kwh"))
        attempt.energy_source = f"{energy.get('source')}: {energy.get('scope')}"


def _over(session: Session, run: Run, attempt: Attempt, ended: Line, points: list[Line]) -> None:
    status, reason = ended["status"], str(ended.get("reason") or "") or None
    horizons = {int(h) for h in run.spec["horizons"]}
    reached = {int(p["n_tokens"]) for p in points if isfinite(p["loss"])}
    if status == "finished" and len(points) > len(reached):
        status, reason = "diverged", "an evaluation was not finite"
    if status == "finished" and reached != horizons:
        missing = sorted(horizons - reached)
        attempts.fail(session, attempt, f"finished without measurements at {missing} tokens")
        return
    measured(session, run, points)
    attempt.train_seconds = curves.finite_or_none(ended.get("train_seconds"))  # of all attempts
    attempt.n_devices = _used(attempt.n_devices or 1, ended)
    if status == "finished":
        run.n_tokens_done = run.n_tokens
        run.last_loss = curves.finite_or_none(points[-1]["loss"])
    attempts.finish(session, attempt, RunState(status), reason=reason)
    outcome.compare(session, run)


def _used(held: float, ended: Line) -> float:
    """Devices: of a run that was given all cores and chose how many pay, those that were not idle;
    of one that was trained together with others, its share."""
    worker = max(1.0, held)
    if ended.get("device") == "cpu" and ended.get("n_threads"):
        worker = min(worker, int(ended["n_threads"]) * int(ended.get("n_processes") or 1))
    return worker / int(ended.get("n_stacked") or 1)
