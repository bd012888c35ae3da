"""Pages for people: sweeps, one sweep, one run, one study. They work without scripts; with them,
what changes is fetched again every few seconds.
"""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from api import guard
from api.deps import Cursor, Id, Reading, key_of, page
from api.figures import CAPTIONS, kinds_of
from api.lawpage import law_of
from api.present import html
from api.routes import fits, launches, runs, studies, sweeps
from reports.document import Figure
from reports.sections import run as run_sections
from reports.sections import sweep as sweep_sections
from reports.sections import verdict
from store import conclusions, curves, measurements
from store import runs as store_runs
from store import sweeps as store_sweeps
from store.answers import Launch
from store.models import Run, Sweep
from store.states import RUN_OVER, SWEEP_OVER, SweepState

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
N_RUNS = 200  # a page shows; the rest is a link away
N_SWEEPS = 50
EXPLORED = ("isoflop", "frontier", "allocation")
VERBS: dict[SweepState, tuple[str, ...]] = {
    SweepState.QUEUED: ("pause", "stop", "cancel"),
    SweepState.RUNNING: ("pause", "stop", "cancel"),
    SweepState.PAUSED: ("resume", "cancel"),
    SweepState.STOPPING: ("cancel",),
    SweepState.FINISHED: (),
    SweepState.FAILED: (),
    SweepState.CANCELLED: (),
}


@router.get("/")
def show_index(session: Reading, cursor: Cursor = None) -> HTMLResponse:
    """All sweeps, studies and launches."""
    made = [_launch(session, row) for row in conclusions.list_launches(session, limit=N_SWEEPS)]
    known = [studies.show(session, s) for s in measurements.list_studies(session, limit=1000)]
    return html("index.html", **_sweeps(session, cursor), studies=known, launches=made)


@router.get("/live/sweeps")
def show_sweeps(session: Reading, cursor: Cursor = None) -> HTMLResponse:
    """The part of the index that changes."""
    return html("index_sweeps.html", **_sweeps(session, cursor))


@router.get("/sweeps/{sweep_id}")
def show_sweep(sweep_id: Id, session: Reading) -> HTMLResponse:
    """One sweep: its plan, its runs, its law and what was made of it."""
    sweep = store_sweeps.get_sweep(session, sweep_id)
    part = _sweep(session, sweep)
    plan = sweep_sections.plan(part["sweep"].model_dump(mode="json"))
    law = law_of(session, sweep_id=sweep_id)
    return html("sweep.html", **part, **law, plan=plan, verbs=_verbs(part["sweep"]))


@router.get("/live/sweeps/{sweep_id}")
def show_sweep_live(sweep_id: Id, session: Reading) -> HTMLResponse:
    """The part of a sweep's page that changes. When it ends, the whole page is loaded once."""
    sweep = store_sweeps.get_sweep(session, sweep_id)
    answer = html("sweep_live.html", **_sweep(session, sweep))
    return _reload_at_end(answer, over=sweep.state in SWEEP_OVER)


@router.get("/runs/{run_id}")
def show_run(run_id: Id, session: Reading) -> HTMLResponse:
    """One run: progress, curve, attempts, and its forecast if it is a final one."""
    row = store_runs.get_run(session, run_id)
    run = runs.detail(session, row)
    sections = [*run_sections.sections(run.model_dump(mode="json"))]
    launch = conclusions.launch_of_run(session, run_id)
    if launch is not None:
        sections.insert(0, verdict.forecast(_launch(session, launch)))
    curve = Figure(src=f"/v1/plots/training.svg?run_id={run_id}", caption="Loss along the run.")
    drawn = curve if any(p.loss is not None for p in curves.of_run(session, run_id)) else None
    return html("run.html", **_run(row), curve=drawn, sections=sections, run=run)


@router.get("/live/runs/{run_id}")
def show_run_live(run_id: Id, session: Reading) -> HTMLResponse:
    """The part of a run's page that changes."""
    row = store_runs.get_run(session, run_id)
    answer = html("run_live.html", **_run(row), run=runs.RunOut.model_validate(row))
    return _reload_at_end(answer, over=row.state in RUN_OVER)


@router.get("/studies/{study}")
def show_study(study: studies.StudyKey, session: Reading) -> HTMLResponse:
    """One study and its law."""
    row = studies.find(session, study)
    law = law_of(session, study_id=row.id)
    return html("study.html", study=studies.show(session, row), **law)


@router.get("/fits/{fit_id}")
def show_fit(fit_id: Id, session: Reading) -> HTMLResponse:
    """Plots of one law to read values off. Plotly writes styles into the page, so only here may
    styles be inline; scripts still come from here alone."""
    fit = fits.show(conclusions.get_fit(session, fit_id))
    kinds = [(k, CAPTIONS[k]) for k in kinds_of(fit.law) if k in EXPLORED]
    back = f"/sweeps/{fit.sweep_id}" if fit.sweep_id else f"/studies/{fit.study_id}"
    answer = html("explore.html", fit=fit, kinds=kinds, back=back)
    policy = guard.HEADERS["Content-Security-Policy"]
    loose = policy.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
    answer.headers["Content-Security-Policy"] = loose
    return answer


def _sweeps(session: Session, cursor: str | None) -> dict[str, Any]:
    found = store_sweeps.list_sweeps(session, before=key_of(cursor), limit=N_SWEEPS + 1)
    shown = page(found, N_SWEEPS, lambda sweep: sweeps.show(session, sweep))
    live = cursor is None and any(s.state not in SWEEP_OVER for s in shown.items)
    return {"sweeps": shown.items, "next_cursor": shown.next_cursor, "live": live}


def _verbs(sweep: sweeps.SweepOut) -> tuple[str, ...]:
    """What may be done now; retry where something failed."""
    over = sweep.state in (SweepState.FINISHED, SweepState.FAILED)
    retry = ("retry",) if over and sweep.progress.counts["failed"] else ()
    return VERBS[sweep.state] + retry


def _sweep(session: Session, row: Sweep) -> dict[str, Any]:
    sweep = sweeps.show(session, row)
    found = store_runs.list_runs(session, sweep_id=row.id, limit=N_RUNS)
    return {
        "sweep": sweep,
        "runs": [runs.RunOut.model_validate(run) for run in found],
        "n_more": sweep.progress.n_runs - len(found),
        "live": row.state not in SWEEP_OVER,
    }


def _run(row: Run) -> dict[str, Any]:
    return {"live": row.state not in RUN_OVER}


def _launch(session: Session, row: Launch) -> dict[str, Any]:
    return launches.show(session, row).model_dump(mode="json")


def _reload_at_end(answer: HTMLResponse, *, over: bool) -> HTMLResponse:
    if over:
        answer.headers["HX-Refresh"] = "true"
    return answer
