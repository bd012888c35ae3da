"""/v1/sweeps/{id}/report and its points as a file; the same of a study."""

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from api.deps import EngineDep, Id, Reading
from api.measured import rows_of
from api.problems import documented
from api.reporting import study_report, sweep_report
from api.routes.studies import StudyKey, find, table
from store.engine import reading

router = APIRouter(prefix="/v1", tags=["reports"])
# One file that carries its own styles: inline ones are allowed, and nothing else is.
POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


@router.get(
    "/sweeps/{sweep_id}/report",
    response_class=HTMLResponse,
    responses=documented(HTTPStatus.NOT_FOUND),
)
def read_sweep_report(sweep_id: Id, engine: EngineDep) -> HTMLResponse:
    """One self-contained HTML file."""
    return HTMLResponse(sweep_report(engine, sweep_id), headers=POLICY)


@router.get(
    "/studies/{study}/report",
    response_class=HTMLResponse,
    responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
def read_study_report(study: StudyKey, engine: EngineDep) -> HTMLResponse:
    """One self-contained HTML file."""
    with reading(engine) as session:
        found = find(session, study)
    return HTMLResponse(study_report(engine, found), headers=POLICY)


@router.get(
    "/sweeps/{sweep_id}/measurements.{form}",
    response_class=Response,
    responses=documented(HTTPStatus.NOT_FOUND),
)
def read_sweep_measurements(
    sweep_id: Id, form: Literal["csv", "json"], session: Reading
) -> Response:
    """Every point of its runs, as `isoflop import` takes them."""
    return table(rows_of(session, sweep_id=sweep_id), form)
