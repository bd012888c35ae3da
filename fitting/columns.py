"""CSV files as columns of text, and numeric columns for the laws whose points are not (N, D, L).

What a spreadsheet writes is read (its byte-order mark, empty lines, empty cells at a line's end);
what would shift a value into another column is refused.
"""

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fitting.errors import InputError

Array = NDArray[np.float64]
Columns = dict[str, Array]


def read_csv(text: str | bytes, *, name: str = "the CSV") -> dict[str, list[str]]:
    """Cells of every named column, in the order of the rows.

    Raises:
        InputError: no UTF-8, no CSV, no row, a column that is there twice, or a row with more or
            fewer cells than the header.
    """
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        lines = csv.reader(io.StringIO(decoded, newline=""), strict=True)
        header, *rows = [line for line in lines if any(cell.strip() for cell in line)] or [[]]
    except UnicodeDecodeError as e:
        raise InputError(f"{name} must be UTF-8 text; byte {e.start + 1} is none (save it as CSV UTF-8)", field="rows") from e  # fmt: skip
    except csv.Error as e:
        raise InputError(
            f"{name} must be a CSV; line {lines.line_num} is none: {e}", field="rows"
        ) from e
    names = [cell.strip() for cell in header]
    check_header(names)
    if not any(names) or not rows:
        raise InputError(f"{name} needs a header line and at least one row; got {'no row' if any(names) else 'neither'}", field="rows")  # fmt: skip
    for i, row in enumerate(rows):
        if len(row) < len(names) or any(cell.strip() for cell in row[len(names) :]):
            raise InputError(
                f"row {i + 1} of {name} has {len(row)} cells and the header {len(names)}: {','.join(row)[:80]} "
                "(a comma within a number or a text needs quotes, or none)", field=f"rows[{i}]",
            )  # fmt: skip
    return {n: [row[k] for row in rows] for k, n in enumerate(names) if n}


def read_file(path: str | Path) -> dict[str, list[str]]:
    """`read_csv` of a file.

    Raises:
        InputError: also where it cannot be opened; FileNotFoundError: there is none.
    """
    try:
        return read_csv(Path(path).read_bytes(), name=str(path))
    except FileNotFoundError:
        raise
    except OSError as e:
        raise InputError(f"{path} must be a file that can be read; got {e.strerror}") from e


def check_header(names: Iterable[str]) -> None:
    """Raises InputError: of two columns of one name the last would win, and nobody would know."""
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            raise InputError(
                f"column {name} is there twice; rename one of the two, or leave it out", field=name
            )
        seen.add(name)


def read_columns(
    path: str | Path, required: Sequence[str], *, optional: Sequence[str] = (),
    may_be_blank: Collection[str] = (), may_be_zero: Collection[str] = (),
) -> Columns:  # fmt: skip
    """Columns by name, each (R,); blank cells of `may_be_blank` are NaN.

    Raises:
        InputError: a column is missing, or a cell is not a finite and positive number.
    """
    found = read_file(path)
    for name in required:
        if name not in found:
            raise InputError(f"column {name} is missing; the columns found are {', '.join(found)}", field=name)  # fmt: skip
    names = [*required, *(name for name in optional if name in found)]
    columns = {name: np.array([_number(cell, name, i, blank=name in may_be_blank)
                               for i, cell in enumerate(found[name])]) for name in names}  # fmt: skip
    for name, values in columns.items():
        _check_positive(values, name, zero=name in may_be_zero)
    return columns


def _number(cell: str, name: str, row: int, *, blank: bool) -> float:
    if blank and not cell.strip():
        return float("nan")
    try:
        value = float(cell)
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
