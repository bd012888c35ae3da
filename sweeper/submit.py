"""From a plan to rows. The web process calls this; nothing here knows torch or Ray."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from store import events
from store.models import Run, Sweep
from store.runs import find_or_add_runs
from store.settings import Settings
from store.states import RunKind, RunState, SweepState
from store.sweeps import link
from sweeper.attempts import requeue
from sweeper.code import code_hash
from sweeper.extend import check_extended
from sweeper.plan import Plan, plan
from sweeper.settling import is_launched, settle
from sweeper.spec import SweepSpec
from trainer.config import RunSpec
from trainer.data.manifest import Manifest

Budgets = tuple[tuple[int, float], ...]  # (horizon, FLOP asked for), where FLOP were asked for


def plan_for(settings: Settings, spec: SweepSpec) -> Plan:
    """The plan of `spec` on the corpus it names. Raises InputError."""
    return plan(spec, Manifest.load(settings.corpora / spec.data))


def submit(session: Session, spec: SweepSpec, made: Plan) -> Sweep:
    """Store a sweep and its runs; a run that is there already is shared, not repeated.

    A shared run that failed or was cancelled is queued again.

    Raises:
        InputError: what it extends cannot be extended, see `sweeper.extend`.
    """
    said = check_extended(session, spec, made)
    sweep = Sweep(
        name=spec.name,
        spec=spec.model_dump(mode="json"),
        state=SweepState.QUEUED,
        price=made.price(),
        notes=[*made.notes, *said],
        limit_flops=spec.limits.flops,
        limit_usd=spec.limits.usd,
        limit_hours=spec.limits.hours,
    )
    session.add(sweep)
    session.flush()
    runs = add_runs(
        session,
        [(planned.spec, planned.budgets) for planned in made.runs],
        code=code_hash(),
        corpus=spec.data,
        device=spec.device,
        stack=spec.stack,
    )
    link(session, sweep, *runs)
    events.append(session, "sweep.state", sweep_id=sweep.id, state=sweep.state.value)
    settle(session, sweep)  # all its runs may be done
    return sweep


def add_runs(
    session: Session,
    wanted: Sequence[tuple[RunSpec, Budgets]],
    *,
    code: str,
    corpus: str,
    device: str,
    kind: RunKind = RunKind.SWEEP,
    stack: bool = False,
    n_cpus: int = 1,
    n_processes: int | None = None,
) -> list[Run]:
    """The rows of these runs, new or known.

    Where and how a run is trained is no part of its identity: one that waits takes it from this
    request, or what could not be trained as first asked never could. What is launched is left as
    its launch wants it.
    """
    how = {
        "corpus": corpus,
        "device": device,
        "kind": kind,
        "stack": stack,
        "n_cpus": n_cpus,
        "n_processes": n_processes,
    }
    rows = [_identity(spec, budgets) | how for spec, budgets in wanted]
    runs = find_or_add_runs(session, code, rows)
    for run in runs:
        if run.state in (RunState.FAILED, RunState.CANCELLED):
            requeue(session, run)
        if run.state is RunState.QUEUED and (
            kind is RunKind.FINAL or not is_launched(session, run)
        ):
            for name, value in how.items():
                setattr(run, name, value)
    session.flush()
    return runs


def _identity(spec: RunSpec, budgets: Budgets) -> dict[str, Any]:
    """What is trained."""
    return {
        "spec_hash": spec.fingerprint(),
        "spec": spec.to_dict(),
        "data_fingerprint": spec.data.fingerprint,
        "n_params": spec.model.n_params,
        "n_params_total": spec.model.n_params_total,
        "n_params_non_embedding": spec.model.n_params_non_embedding,
        "n_tokens": spec.n_tokens,
        "flops": spec.flops,
        "budgets": [list(pair) for pair in budgets],
    }
