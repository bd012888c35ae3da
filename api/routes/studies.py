"""/v1/studies: measurements from elsewhere, as CSV or JSON, fitted like a sweep."""

import json
import re
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.deps import MAX_ID, Cursor, EngineDep, Limit, Page, Reading, key_of, page
from api.idempotency import KeyHeader, once
from api.measured import rows_of, to_csv
from api.problems import ProblemError, documented
from api.tabular import check_text, checked, read_csv, read_json
from fitting.errors import InputError
from store import measurements
from store.engine import writing
from store.errors import NotFoundError
from store.models import Measurement, Study

router = APIRouter(prefix="/v1/studies", tags=["studies"])
NAME = r"^[\w .+:-]*[^\W\d][\w .+:-]*$"  # not a number: studies are found by id or by name
ABOUT = ("loss_unit", "tokenizer", "source")  # said of the whole study


class StudyIn(BaseModel):
    """A table: one object per row, or the CSV that says the same."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200, json_schema_extra={"pattern": NAME})
    rows: list[dict[str, float | str | bool | None]] = Field(min_length=1)
    loss_unit: str | None = Field(default=None, max_length=50)
    tokenizer: str | None = Field(default=None, max_length=200)
    source: str | None = Field(default=None, max_length=500)

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        if not re.fullmatch(NAME, name):
            raise InputError(
                "name needs a letter, or it would be taken for an id, and may have letters, digits, "
                f"spaces and . _ + : - alone; got {name!r}",
                field="name",
            )
        return name


class StudyOut(BaseModel):
    id: int
    name: str
    about: dict[str, Any]
    n_measurements: int
    created_at: datetime


async def study_in(
    request: Request,
    name: Annotated[
        str | None,
        Query(max_length=200, description="With a CSV body", json_schema_extra={"pattern": NAME}),
    ] = None,
    loss_unit: Annotated[str | None, Query(max_length=50)] = None,
    tokenizer: Annotated[str | None, Query(max_length=200)] = None,
    source: Annotated[str | None, Query(max_length=500)] = None,
) -> StudyIn:
    """The body, whichever of the two it is.

    Raises:
        InputError: neither; or a key or a value that cannot be meant.
    """
    body = await request.body()
    if request.headers.get("content-type", "").split(";")[0].strip() == "text/csv":
        said = {"name": name, "rows": read_csv(body)}
        about = {"loss_unit": loss_unit, "tokenizer": tokenizer, "source": source}
    else:
        said, about = read_json(body), {}
    try:
        study = StudyIn.model_validate(said | about)
    except ValidationError as e:
        raise _as_input_error(e) from e
    for field in ABOUT:
        check_text(getattr(study, field) or "", field, field)
    return study


def _as_input_error(e: ValidationError) -> InputError:
    """The first complaint. A value of a row may be of four types, and pydantic complains of each:
    what it adds to the path is no part of the document."""
    first = e.errors(include_url=False)[0]
    said = first.get("ctx", {}).get("error")
    if isinstance(said, InputError):
        return said
    field = ".".join(str(part) for part in first["loc"][:3])
    if len(first["loc"]) > 3:
        kind = type(first["input"]).__name__
        return InputError(
            f"{field}: a number, a text, true, false or null; got {kind}", field=field
        )
    return InputError(f"{field or 'body'}: {first['msg']}", field=field)


_TABLE = {"schema": {"$ref": "#/components/schemas/StudyIn"}}
_CSV = {"schema": {"type": "string"}, "example": "n_params,n_tokens,loss\n1e6,2e7,3.21\n"}


@router.post(
    "",
    status_code=201,
    responses=documented(HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": _TABLE, "text/csv": _CSV}}
    },
)
def create_study(
    study: Annotated[StudyIn, Depends(study_in)],
    response: Response,
    engine: EngineDep,
    key: KeyHeader = None,
) -> StudyOut:
    """Keep measurements under a name. Every row is checked; none is dropped."""
    meta = study.model_dump(include={"loss_unit", "tokenizer"}, exclude_none=True)
    rows = checked(study.rows, **meta)
    with writing(engine) as session:
        answer = once(
            session,
            response,
            scope="studies",
            key=key,
            body=study.model_dump(mode="json"),
            work=lambda: _add(session, study, rows),
        )
    return StudyOut.model_validate(answer)


@router.get("")
def list_studies(session: Reading, limit: Limit = 50, cursor: Cursor = None) -> Page[StudyOut]:
    """Oldest first."""
    found = measurements.list_studies(session, after=key_of(cursor) or 0, limit=limit + 1)
    return page(found, limit, lambda study: show(session, study))


StudyKey = Annotated[
    str, Path(min_length=1, max_length=200, pattern=r"^[^\x00]*$", description="Id or name")
]


@router.get("/{study}", responses=documented(HTTPStatus.NOT_FOUND))
def read_study(study: StudyKey, session: Reading) -> StudyOut:
    """One study, by id or by name."""
    return show(session, find(session, study))


@router.get(
    "/{study}/measurements.{form}",
    responses=documented(HTTPStatus.NOT_FOUND),
    response_class=Response,
)
def read_measurements(study: StudyKey, form: Literal["csv", "json"], session: Reading) -> Response:
    """Its points, as they can be imported again."""
    return table(rows_of(session, study_id=find(session, study).id), form)


def table(rows: list[dict[str, Any]], form: str) -> Response:
    """Rows as a CSV file or as JSON."""
    if form == "csv":
        return Response(to_csv(rows), media_type="text/csv")
    return Response(json.dumps({"items": rows}, allow_nan=False), media_type="application/json")


def find(session: Session, key: str) -> Study:
    """Raises NotFoundError: no study has this id or name."""
    if key.isascii() and key.isdigit() and int(key) <= MAX_ID:
        return measurements.get_study(session, int(key))
    study = measurements.find_study(session, key)
    if study is None:
        raise NotFoundError("study", key)
    return study


def show(session: Session, study: Study) -> StudyOut:
    n = session.scalar(
        select(func.count()).select_from(Measurement).where(Measurement.study_id == study.id)
    )
    return StudyOut(
        id=study.id,
        name=study.name,
        about=study.about,
        n_measurements=n or 0,
        created_at=study.created_at,
    )


def _add(session: Session, study: StudyIn, rows: list[dict[str, Any]]) -> StudyOut:
    if measurements.find_study(session, study.name) is not None:
        raise ProblemError(
            HTTPStatus.CONFLICT,
            f"a study named {study.name!r} exists; choose another name",
            type_="/problems/conflict",
            code="exists",
        )
    about = study.model_dump(include={*ABOUT}, exclude_none=True)
    return show(session, measurements.add_study(session, name=study.name, rows=rows, about=about))
