"""A study's table as it came, CSV or JSON, and the rows of it that can be stored and fitted.

Every row is checked and none is dropped: what a database refuses, or takes on one machine and
refuses on another, is named here with its column and its row.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from api.measured import KEYS
from fitting.columns import read_csv as columns_of
from fitting.errors import InputError
from fitting.measurements import ALIASES, Measurements, array_names

NUMBERS = ("bits_per_byte", "flops_exact", "n_params_total", "n_params_non_embedding")
TEXTS = ("group", "group_name", "tokenizer")
MAX_TEXT = 200  # characters of a text that has a column of its own
UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL for PostgreSQL, halves of a pair for UTF-8
STORED = {"group": "group_name", "budget": "budget_flops"}
TYPED = {*array_names(), *NUMBERS} - {*TEXTS}  # numbers and flags
Row = dict[str, Any]


def read_csv(body: bytes) -> list[Row]:
    """Rows of text. Raises InputError as `fitting.columns.read_csv` does."""
    columns = columns_of(body, name="the body")
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def read_json(body: bytes) -> Row:
    """Raises InputError: no JSON object; NaN is no JSON."""
    try:
        said = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as e:
        raise InputError(f"the body must be JSON, or a CSV with Content-Type text/csv: {e}") from e
    if not isinstance(said, dict):
        raise InputError(f"the body must be an object; got {type(said).__name__}")
    return said


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON; leave the value out, or say null")


def checked(rows: Sequence[Row], **meta: str) -> list[Row]:
    """Rows with numbers where numbers belong, and everything else kept beside them.

    Raises:
        InputError: a column is missing, or a value cannot be meant.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [_blank_is_none(row.get(name)) for row in rows] for name in names}
    for name, values in columns.items():
        check_text(name, "a column's name", "rows")
        for i, value in enumerate(values):
            _check(value, ALIASES.get(name, name), f"{name}[{i}]", f"{name} of row {i + 1}")
    known = Measurements.from_columns(columns, keep_excluded=True, **meta).to_columns()
    table = {STORED.get(n, n): values for n, values in known.items()}
    for name, values in columns.items():
        alias = ALIASES.get(name, name)
        read = alias == name or alias not in columns  # a second name of a column is not read
        taken = read and STORED.get(alias, alias) in table
        blank = read and alias in array_names() and not taken
        if name not in KEYS and not taken and not blank:
            table[name] = _converted(name, values)
    return [{n: values[i] for n, values in table.items()} for i in range(len(rows))]


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _check(value: Any, alias: str, field: str, where: str) -> None:
    if isinstance(value, float) or alias in TYPED:
        if _not_finite(value):
            raise InputError(f"{where} must be finite; got {value}", field=field)
    elif isinstance(value, str):
        check_text(value, where, field, most=MAX_TEXT if alias in TEXTS else None)


def _not_finite(value: Any) -> bool:
    """NaN or infinity, written out too; what is no number at all is judged elsewhere."""
    try:
        return not math.isfinite(float(value))
    except (TypeError, ValueError):
        return False
    except OverflowError:
        return True


def check_text(text: str, where: str, field: str, *, most: int | None = None) -> None:
    """Raises InputError: a text that one of the databases cannot keep."""
    if UNSTORABLE.search(text):
        raise InputError(
            f"{where} must not hold NUL or half a surrogate pair; got {text[:40]!r}", field=field
        )
    if most is not None and len(text) > most:
        raise InputError(f"{where} may have {most} characters; got {len(text)}", field=field)


def _converted(name: str, values: list[Any]) -> list[Any]:
    if name in NUMBERS:
        return [_number(v, name) for v in values]
    return [v if v is None else str(v) for v in values] if name in TEXTS else values


def _number(value: Any, name: str) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError as e:
        raise InputError(f"{name} must be a number; got {value!r}", field=name) from e
