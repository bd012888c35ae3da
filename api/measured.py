"""The measurements of a sweep or a study as `fitting` wants them, and as a CSV."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from fitting.errors import InputError, RefusalError
from fitting.measurements import Measurements
from store import measurements, sweeps
from store.answers import FitRow
from store.models import Measurement

# Our columns under the names that a CSV and `fitting` know them by.
RENAMED = {"group_name": "group"}
KEYS = ("id", "run_id", "study_id")  # of this database, meaningless elsewhere
OF_STUDY = ("loss_unit", "tokenizer")  # may be said once for all points of a study
BLANK = ("group", "budget_flops")  # a row without one is alone
FLAGS = ("excluded_outlier", "censored")  # a row that says nothing means no


def rows_of(
    session: Session, *, sweep_id: int | None = None, study_id: int | None = None
) -> list[dict[str, Any]]:
    """All points, in a fixed order, under their CSV names.

    Raises:
        InputError: not exactly one of the two.
        NotFoundError: no such sweep or study.
    """
    if (sweep_id is None) == (study_id is None):
        raise InputError(
            f"give exactly one of sweep_id and study_id; got {sweep_id} and {study_id}",
            field="sweep_id",
        )
    said: dict[str, Any] = {}
    if sweep_id is not None:
        sweeps.get_sweep(session, sweep_id)
        found = measurements.of_sweep(session, sweep_id)
    else:
        assert study_id is not None  # noqa: S101
        about = measurements.get_study(session, study_id).about
        said = {name: about[name] for name in OF_STUDY if name in about}
        found = measurements.of_study(session, study_id)
    return [_row(m, said) for m in found]


def _row(m: Measurement, said: dict[str, Any]) -> dict[str, Any]:
    """A run's points are a group: they err together. What was `said` of a whole study holds for
    each of its points, or losses in another unit would be taken for nats/token."""
    row = {RENAMED.get(k, k): v for k, v in measurements.as_row(m).items()}
    row |= {name: row.get(name) or value for name, value in said.items()}
    return row | {"group": row["group"] or (m.run_id and str(m.run_id))}


def as_measurements(rows: Sequence[dict[str, Any]], *, source: str) -> Measurements:
    """Rows as arrays; a column that only some rows fill is left to those who read the rows.

    Raises:
        RefusalError: there is nothing to fit yet.
    """
    if not rows:
        raise RefusalError(
            f"{source} has no measurements yet; wait until a run has finished", code="no_data"
        )
    columns: dict[str, list[Any]] = {}
    for name in rows[0]:
        values = [row.get(name) for row in rows]
        if name in FLAGS:
            values = [v or False for v in values]
        if name in BLANK or all(v is not None for v in values):
            columns[name] = values
    return Measurements.from_columns(columns, source=source)


def used_by(session: Session, fit: FitRow) -> Measurements:
    """The points a fit saw, not those that came later."""
    used = set(fit.measurement_ids)
    rows = rows_of(session, sweep_id=fit.sweep_id, study_id=fit.study_id)
    return as_measurements([r for r in rows if r["id"] in used], source=f"fit {fit.id}")


def to_csv(rows: Iterable[dict[str, Any]]) -> str:
    """One line per point with every column that any row has, ready to be imported again. What
    has parts, as the losses by domain have, is JSON in its cell."""
    rows = [{name: _cell(value) for name, value in row.items()} for row in rows]
    names = [n for n in dict.fromkeys(n for row in rows for n in row) if n not in KEYS]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value
