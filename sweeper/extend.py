"""A sweep that adds to an earlier one: the earlier points are fitted with its own.

That is what one does when an answer is not sure enough, or when `isoflop design` names the next
runs. The sweep names the earlier one and `store.measurements.of_sweep` follows it; runs, cost and
state remain each sweep's own.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from fitting.errors import InputError
from store.errors import NotFoundError
from store.models import Run, Sweep
from store.runs import measured_runs
from store.states import SWEEP_OVER
from store.sweeps import get_sweep, with_extended
from sweeper.code import code_hash
from sweeper.plan import Plan
from sweeper.spec import SweepSpec

# Points of one law were trained by one rule; what only says where or how fast may differ.
SAME = ("family", "context", "recipe", "precision")
SAME_MODELS = ("mlp", "tied", "qk_norm", "window", "n_expert", "top_k", "n_shared")


def check_extended(session: Session, spec: SweepSpec, made: Plan) -> list[str]:
    """What to say of the sweep that `spec` extends; nothing if it extends none.

    Raises:
        InputError: there is no such sweep, it is not over, nothing was measured, or its runs were
            trained by another rule or on another text.
    """
    if spec.extends is None:
        return []
    before = _sweep(session, spec.extends)
    _check_same(spec, before)
    runs = measured_runs(session, with_extended(session, before.id))
    if not runs:
        raise _error(f"must name a sweep with measurements; sweep {before.id} has none")
    _check_runs(runs, made, before.id)
    notes = [f"extends sweep {before.id}: the points of its {len(runs)} runs are fitted too"]
    if {run.code_hash for run in runs} != {code_hash()}:
        notes.append(f"the trainer's sources changed since sweep {before.id}; its points may differ from new ones by more than a seed")  # fmt: skip
    return notes


def _sweep(session: Session, sweep_id: int) -> Sweep:
    try:
        found = get_sweep(session, sweep_id)
    except NotFoundError as e:
        raise _error(f"must name a sweep; there is no sweep {sweep_id} (isoflop sweep list)") from e
    if found.state not in SWEEP_OVER:
        raise _error(f"must name a sweep that is over; sweep {sweep_id} is {found.state} (wait for it, or stop it)")  # fmt: skip
    return found


def _check_same(spec: SweepSpec, before: Sweep) -> None:
    old = SweepSpec.model_validate(before.spec)
    for name in SAME:
        was, now = (_plain(getattr(x, name)) for x in (old, spec))
        if was != now:
            raise _other_rule(name, was, now, before.id)


def _plain(value: Any) -> Any:
    """A recipe by what it changes."""
    return value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value


def _check_runs(runs: Sequence[Run], made: Plan, sweep_id: int) -> None:
    """One text, and models of one kind, whether the ladder shaped them or a person."""
    now = made.runs[0].spec.data.fingerprint
    for run in runs:
        if run.data_fingerprint != now:
            raise _error(
                f"needs points on one text; sweep {sweep_id} was trained on "
                f"{run.data_fingerprint[:12]} and this corpus is {now[:12]} (name the corpus "
                f"{run.corpus!r}, as it was prepared then)"
            )
    for name in SAME_MODELS:
        was = {run.spec["model"].get(name) for run in runs}
        for other in {getattr(planned.spec.model, name) for planned in made.runs} - was:
            raise _other_rule(name, next(iter(was)), other, sweep_id)


def _other_rule(name: str, was: Any, now: Any, sweep_id: int) -> InputError:
    return _error(
        f"needs points trained by one rule; {name} was {was!r} in sweep {sweep_id} and is {now!r} "
        "here (ask with the same, or without extends)"
    )


def _error(text: str) -> InputError:
    return InputError(f"extends {text}", field="extends")
