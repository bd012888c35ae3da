"""Numeric columns of a CSV, for the laws whose points are not (N, D, L)."""

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from fitting.errors import InputError
from fitting.measurements import Array, check_header

Columns = dict[str, Array]


def read_columns(
    path: str | Path, required: Sequence[str], *, optional: Sequence[str] = (),
    may_be_blank: Collection[str] = (), may_be_zero: Collection[str] = (),
) -> Columns:  # fmt: skip
    """Columns by name, each (R,); blank cells of `may_be_blank` are NaN.

    Raises:
        InputError: a column is missing, or a cell is not a finite and positive number.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    check_header(reader.fieldnames or ())
    found = [name for name in reader.fieldnames or () if name]
    for name in required:
        if name not in found:
            raise InputError(f"column {name} is missing; the columns found are {', '.join(found)}", field=name)  # fmt: skip
    if not rows:
        raise InputError(f"{path} needs a header line and at least one row; got no row")
    names = [*required, *(name for name in optional if name in found)]
    columns = {name: np.array([_number(row[name], name, i, blank=name in may_be_blank)
                               for i, row in enumerate(rows)]) for name in names}  # fmt: skip
    for name, values in columns.items():
        _check_positive(values, name, zero=name in may_be_zero)
    return columns


def _number(cell: str | None, name: str, row: int, *, blank: bool) -> float:
    if blank and not (cell or "").strip():
        return float("nan")
    try:
        value = float(cell or "")
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(f"{name} must be a finite number; got {cell!r} in row {row + 1}", field=f"{name}[{row}]")  # fmt: skip
    return value


def _check_positive(values: Array, name: str, *, zero: bool) -> None:
    bad = np.flatnonzero(values < 0 if zero else values <= 0)
    if bad.size:
        word = "not be negative" if zero else "be positive"
        raise InputError(f"{name} must {word}; got {values[bad[0]]:.6g} in row {bad[0] + 1}", field=f"{name}[{bad[0]}]")  # fmt: skip
