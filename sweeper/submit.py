"""From a plan to rows. The web process calls this; nothing here knows torch or Ray."""

from typing import Any

from sqlalchemy.orm import Session

from store import events
from store.models import Run, Sweep
from store.runs import find_or_add_run
from store.settings import Settings
from store.states import RunKind, RunState, SweepState
from store.sweeps import link
from sweeper.attempts import requeue
from sweeper.code import code_hash
from sweeper.plan import Plan, plan
from sweeper.settling import is_launched, settle
from sweeper.spec import SweepSpec
from trainer.config import RunSpec
from trainer.data.manifest import Manifest


def plan_for(settings: Settings, spec: SweepSpec) -> Plan:
    """The plan of `spec` on the corpus it names. Raises InputError."""
    return plan(spec, Manifest.load(settings.corpora / spec.data))


def submit(session: Session, spec: SweepSpec, made: Plan) -> Sweep:
    """Store a sweep and its runs; a run that is there already is shared, not repeated.

    A shared run that failed or was cancelled is queued again.
    """
    sweep = Sweep(
        name=spec.name,
        spec=spec.model_dump(mode="json"),
        state=SweepState.QUEUED,
        price=made.price(),
        notes=list(made.notes),
        limit_flops=spec.limits.flops,
        limit_usd=spec.limits.usd,
        limit_hours=spec.limits.hours,
    )
    session.add(sweep)
    session.flush()
    code = code_hash()
    for planned in made.runs:
        run = add_run(
            session,
            planned.spec,
            code=code,
            corpus=spec.data,
            device=spec.device,
            stack=spec.stack,
            budgets=[list(pair) for pair in planned.budgets],
        )
        link(session, sweep, run)
    events.append(session, "sweep.state", sweep_id=sweep.id, state=sweep.state.value)
    settle(session, sweep)  # all its runs may be done
    return sweep


def add_run(
    session: Session,
    spec: RunSpec,
    *,
    code: str,
    corpus: str,
    device: str,
    kind: RunKind = RunKind.SWEEP,
    stack: bool = False,
    n_cpus: int = 1,
    n_processes: int | None = None,
    **columns: Any,
) -> Run:
    """The row of this run, new or known.

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
    run = find_or_add_run(
        session,
        spec_hash=spec.fingerprint(),
        code_hash=code,
        spec=spec.to_dict(),
        data_fingerprint=spec.data.fingerprint,
        n_params=spec.model.n_params,
        n_params_total=spec.model.n_params_total,
        n_params_non_embedding=spec.model.n_params_non_embedding,
        n_tokens=spec.n_tokens,
        flops=spec.flops,
        **how,
        **columns,
    )
    if run.state in (RunState.FAILED, RunState.CANCELLED):
        requeue(session, run)
    if run.state is RunState.QUEUED and (kind is RunKind.FINAL or not is_launched(session, run)):
        for name, value in how.items():
            setattr(run, name, value)
        session.flush()
    return run
