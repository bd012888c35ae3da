"""Which figures there are, and how each is drawn from what the database holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from sqlalchemy.orm import Session

from fitting.errors import InputError
from reports import training
from store import curves, measurements, runs

CAPTIONS = {
    "training": "Loss along the run.",
}
LAW_KINDS: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a figure is of."""

    run_id: int | None = None
    fit_id: int | None = None

    def need(self, name: str) -> int:
        """Raises InputError: the figure is of something that was not named."""
        value: int | None = getattr(self, name)
        if value is None:
            raise InputError(f"this figure needs {name}; got none", field=name)
        return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawable:
    """The numbers of a figure, and how to draw them: no session is open while that happens."""

    numbers: Any
    draw: Callable[[], Axes]


def prepare(session: Session, kind: str, asked: Asked) -> Drawable:
    """Raises NotFoundError or InputError: no such figure, run or fit."""
    if kind not in CAPTIONS:
        raise InputError(f"kind must be one of {sorted(CAPTIONS)}; got {kind!r}", field="kind")
    return _training(session, asked)


def _training(session: Session, asked: Asked) -> Drawable:
    run = runs.get_run(session, asked.need("run_id"))
    points = [
        {"branch": p.branch, "n_tokens": p.n_tokens, "loss": p.loss}
        for p in curves.of_run(session, run.id)
    ]
    measured = [
        {"n_tokens": m.n_tokens, "loss": m.loss} for m in measurements.of_run(session, run.id)
    ]
    found = training.curves(points, measured)
    return Drawable(numbers=found, draw=lambda: training.plot(found))
