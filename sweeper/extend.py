"""A sweep that adds to an earlier one: the earlier runs' points count as its own.

That is what one does when a law refuses, or when `isoflop design` names the next runs: ask for
those alone, and fit them together with what is measured already.
"""

from typing import Any

from sqlalchemy.orm import Session

from fitting.errors import InputError
from store.errors import NotFoundError
from store.models import Run, Sweep
from store.runs import measured_runs
from store.states import SWEEP_OVER
from store.sweeps import get_sweep
from sweeper.code import code_hash
from sweeper.plan import Plan
from sweeper.spec import SweepSpec

# Points of one law were trained by one rule; what only says where or how fast may differ.
SAME = ("family", "context", "recipe", "precision")


def earlier_runs(session: Session, spec: SweepSpec, made: Plan) -> tuple[list[Run], list[str]]:
    """The measured runs of the sweep that `spec` extends, and what to say of them; none if none.

    Raises:
        InputError: there is no such sweep, it is not over, nothing was measured, or its runs were
            trained by another rule or on another text.
    """
    if spec.extends is None:
        return [], []
    before = _sweep(session, spec.extends)
    _check_same(spec, before)
    runs = list(measured_runs(session, before.id))
    if not runs:
        raise _error(f"must name a sweep with measurements; sweep {before.id} has none")
    _check_text(runs, made, before.id)
    notes = [
        f"extends sweep {before.id}: the points of its {len(runs)} runs count too, and cost nothing more"
    ]
    if any(run.code_hash != code_hash() for run in runs):
        notes.append(f"the trainer's sources changed since sweep {before.id}; its points may differ from new ones by more than a seed")  # fmt: skip
    return runs, notes


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
        was, now = getattr(old, name), getattr(spec, name)
        if was != now:
            raise _error(
                f"needs points trained by one rule; {name} was {_said(was)} in sweep {before.id} "
                f"and is {_said(now)} here (ask with the same, or without extends)"
            )


def _said(value: Any) -> str:
    """A recipe by what it changes."""
    return repr(value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value)


def _check_text(runs: list[Run], made: Plan, sweep_id: int) -> None:
    was, now = runs[0].data_fingerprint, made.runs[0].spec.data.fingerprint
    if was != now:
        raise _error(
            f"needs points on one text; sweep {sweep_id} was trained on {was[:12]} and this corpus "
            f"is {now[:12]} (name the corpus {runs[0].corpus!r}, as it was prepared then)"
        )


def _error(text: str) -> InputError:
    return InputError(f"extends {text}", field="extends")
