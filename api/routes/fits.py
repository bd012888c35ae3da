"""/v1/fits: laws from measurements. `auto` runs every approach and says which one it trusts."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.deps import MAX_ID, Cursor, EngineDep, Id, Limit, Page, Reading, key_of, page
from api.measured import as_measurements, rows_of
from api.problems import documented
from fitting.analysis import analyse
from fitting.errors import InputError
from fitting.fit import fit
from fitting.measurements import Measurements
from store import conclusions
from store.answers import FitRow
from store.engine import reading, writing

router = APIRouter(prefix="/v1/fits", tags=["fits"])
AUTO = "auto"
MIN_RESAMPLES = 50  # fewer give no 90 % interval worth the name
HEAVY = ("samples", "measurements")  # needed to go on, not to read
OptionalId = Annotated[int | None, Field(ge=1, le=MAX_ID)]


class FitIn(BaseModel):
    """What to fit, and how."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sweep_id: OptionalId = None
    study_id: OptionalId = None
    law: str = Field(default=AUTO, max_length=50)
    objective: str = Field(default="huber", max_length=20)
    n_bootstrap: int = Field(default=1000, ge=0, le=20_000)
    seed: int = Field(default=0, ge=0, le=2**32 - 1)


class FitOut(BaseModel):
    """A fit's own JSON (the command line's), and where it comes from."""

    model_config = ConfigDict(extra="allow")

    id: int
    sweep_id: int | None
    study_id: int | None
    law: str
    options: dict[str, Any]
    n_measurements: int
    created_at: datetime


@router.post("", status_code=201, responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT))
def create_fit(asked: FitIn, engine: EngineDep) -> FitOut:
    """Fit now and keep the answer; it takes seconds, and holds no transaction meanwhile."""
    with reading(engine) as session:
        rows = rows_of(session, sweep_id=asked.sweep_id, study_id=asked.study_id)
    result = _fit(as_measurements(rows, source=_source(asked)), asked)
    with writing(engine) as session:
        return show(
            conclusions.add_fit(
                session,
                sweep_id=asked.sweep_id,
                study_id=asked.study_id,
                law=asked.law,
                options=asked.model_dump(exclude={"sweep_id", "study_id", "law"}),
                measurement_ids=[row["id"] for row in rows],
                result=result,
            )
        )


@router.get("")
def list_fits(
    session: Reading,
    limit: Limit = 50,
    cursor: Cursor = None,
    sweep_id: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    study_id: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> Page[FitOut]:
    """Newest first."""
    found = conclusions.list_fits(
        session, sweep_id=sweep_id, study_id=study_id, before=key_of(cursor), limit=limit + 1
    )
    return page(found, limit, show)


@router.get("/{fit_id}", responses=documented(HTTPStatus.NOT_FOUND))
def read_fit(fit_id: Id, session: Reading) -> FitOut:
    """One fit."""
    return show(conclusions.get_fit(session, fit_id))


def show(row: FitRow) -> FitOut:
    """The stored result without what only the next step needs."""
    about = {
        name: getattr(row, name)
        for name in ("id", "sweep_id", "study_id", "law", "options", "created_at")
    }
    result = {k: v for k, v in row.result.items() if k not in HEAVY}
    return FitOut.model_validate({"n_measurements": len(row.measurement_ids)} | result | about)


def _fit(m: Measurements, asked: FitIn) -> dict[str, Any]:
    if asked.law == AUTO:
        if asked.n_bootstrap < MIN_RESAMPLES:
            raise InputError(
                f"n_bootstrap must be at least {MIN_RESAMPLES} with law 'auto', whose intervals "
                f"are resamples; got {asked.n_bootstrap}",
                field="n_bootstrap",
            )
        return analyse(m, n_bootstrap=asked.n_bootstrap, seed=asked.seed).to_dict()
    return fit(
        m,
        law=asked.law,
        objective=asked.objective,
        n_bootstrap=asked.n_bootstrap,
        seed=asked.seed,
    ).to_dict()


def _source(asked: FitIn) -> str:
    return f"sweep {asked.sweep_id}" if asked.sweep_id else f"study {asked.study_id}"
