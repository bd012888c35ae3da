"""A run's training curve, thinned as it comes in: at most one point per bin of its tokens."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.models import CurvePoint, Run

N_BINS = 400  # per branch: more points than a plot has pixels are never stored
_FLOATS = ("loss", "lr", "grad_norm", "tok_s", "seconds")


def add_points(session: Session, run: Run, lines: Iterable[Mapping[str, Any]]) -> int:
    """Keep the first point of each bin not yet filled; returns how many were kept.

    A resumed run repeats steps, so points that are there stay. Non-finite values become null.
    """
    known = {
        (b, n)
        for b, n in session.execute(
            select(CurvePoint.branch, CurvePoint.bin).where(CurvePoint.run_id == run.id)
        )
    }
    before = len(known)
    for line in lines:
        branch = int(line.get("branch") or 0)
        place = (branch, min(N_BINS, int(N_BINS * line["n_tokens"] / run.n_tokens)))
        if place not in known:
            known.add(place)
            session.add(_point(run.id, place, line))
    session.flush()
    return len(known) - before


def _point(run_id: int, place: tuple[int, int], line: Mapping[str, Any]) -> CurvePoint:
    values = {name: finite_or_none(line.get(name)) for name in _FLOATS}
    return CurvePoint(
        run_id=run_id,
        branch=place[0],
        bin=place[1],
        step=int(line["step"]),
        n_tokens=int(line["n_tokens"]),
        **values,
    )


def finite_or_none(value: Any) -> float | None:
    return float(value) if value is not None and isfinite(value) else None


def of_run(session: Session, run_id: int) -> Sequence[CurvePoint]:
    return session.scalars(
        select(CurvePoint)
        .where(CurvePoint.run_id == run_id)
        .order_by(CurvePoint.branch, CurvePoint.bin)
    ).all()
