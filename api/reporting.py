"""Gathers a report: rows to JSON in one transaction, drawings after it, then HTML."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.figures import CAPTIONS, WIDE, Thunk, kinds_of, prepare
from api.lawpage import answers_of, launches_of
from api.routes import fits, recommendations, runs, sweeps
from fitting.errors import RefusalError
from reports.assemble import Answer, of_sweep, of_table
from reports.build import build
from reports.document import Document, Figure
from reports.provenance import commit
from reports.render import to_bytes
from store import conclusions
from store import runs as store_runs
from store import sweeps as store_sweeps
from store.answers import FitRow
from store.engine import reading
from store.models import Study

Json = dict[str, Any]
N_RUNS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """A law and what was made of it, before anything is drawn."""

    fit: Json | None
    drawings: dict[str, Thunk]
    answers: tuple[Answer, ...]


def sweep_report(engine: Engine, sweep_id: int) -> str:
    """Raises NotFoundError: no sweep has this id."""
    with reading(engine) as session:
        sweep = sweeps.show(session, store_sweeps.get_sweep(session, sweep_id))
        rows = store_runs.list_runs(session, sweep_id=sweep_id, limit=N_RUNS)
        shown = [runs.RunOut.model_validate(row).model_dump(mode="json") for row in rows]
        code = rows[0].code_hash if rows else ""
        found = _gather(session, conclusions.list_fits(session, sweep_id=sweep_id, limit=1))
    n_dropped = sum(run["state"] != "finished" for run in shown)
    about = f"{len(shown)} runs, {n_dropped} of them without a final measurement"
    document = of_sweep(
        sweep.model_dump(mode="json"),
        shown,
        fit=found.fit,
        figures=_draw(found, about),
        answers=found.answers,
        provenance=(*_provenance(), ("Training code", code)),
    )
    return build(document)


def study_report(engine: Engine, study: Study) -> str:
    """Raises RefusalError: nothing has been fitted yet."""
    with reading(engine) as session:
        found = _gather(session, conclusions.list_fits(session, study_id=study.id, limit=1))
    if found.fit is None:
        raise RefusalError(f"study {study.name!r} has no fit yet; fit it first", code="no_fit")
    document: Document = of_table(
        study.name,
        found.fit,
        figures=_draw(found, f"study {study.name}"),
        answers=found.answers,
        provenance=(*_provenance(), ("Source", str(study.about.get("source", study.name)))),
    )
    return build(document)


def _gather(session: Session, rows: Any) -> Gathered:
    if not rows:
        return Gathered(fit=None, drawings={}, answers=())
    fit: FitRow = rows[0]
    return Gathered(
        fit=fits.show(fit).model_dump(mode="json"),
        drawings={k: prepare(session, k, fit_id=fit.id) for k in kinds_of(fit.law)},
        answers=tuple(_answer(session, row) for row in answers_of(session, fit)),
    )


def _answer(session: Session, row: Any) -> Answer:
    return Answer(
        recommendation=recommendations.show(row).model_dump(mode="json"),
        launches=launches_of(session, row.id),
    )


def _draw(found: Gathered, about: str) -> tuple[Figure, ...]:
    """Captions say which fit, to how much, and by which code."""
    if found.fit is None:
        return ()
    where = f"Fit {found.fit['id']} to {found.fit['n_measurements']} measurements of {about}; "
    figures = []
    for kind, draw in found.drawings.items():
        try:
            svg = to_bytes(draw().figure, "svg").decode()
        except RefusalError:  # such as no budgets: the tables say what could be concluded
            continue
        caption = f"{CAPTIONS[kind]} {where}isoflop {commit()}."
        figures.append(Figure(svg=svg, caption=caption, wide=kind in WIDE))
    return tuple(figures)


def _provenance() -> tuple[tuple[str, str], ...]:
    return (("isoflop", commit()),)
