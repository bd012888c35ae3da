"""The unit of every fit: evaluated, decayed points (N, D, L), checked once and immutable.

    N, D   parameters that multiply, training tokens    [params], [tokens]
    C      training compute, 6 N D                       [FLOP]
    L      validation loss                               [nats/token unless `loss_unit` says else]
    U      unique tokens of the corpus                   [tokens]

Nothing is dropped silently: what `from_csv` leaves out is counted in `n_excluded`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fitting.columns import read_file
from fitting.costs.flops import train_flops
from fitting.errors import InputError

Array = NDArray[np.float64]

REQUIRED = ("n_params", "n_tokens", "loss")
POSITIVE = ("n_params", "n_tokens", "loss", "flops", "unique_tokens", "loss_se", "budget_flops")
ALIASES = {"budget": "budget_flops", "run": "group", "run_id": "group"}
LARGEST = 1e100  # of a value: its square is still a float
YES = {"true", "1", "yes", "y", "t"}
NO = {"false", "0", "no", "n", "f"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurements:
    """R points; every array is (R,) and in the same order."""

    n_params: Array
    n_tokens: Array
    loss: Array
    flops: Array
    unique_tokens: Array | None = None
    group: NDArray[np.str_] | None = None  # points of one (a run) err together; "": of none
    loss_se: Array | None = None  # evaluation error of the loss, same unit
    budget_flops: Array | None = None  # nominal isoFLOP budget
    decayed: NDArray[np.bool_] | None = None  # False: taken before the rate had decayed
    censored: NDArray[np.bool_] | None = None  # True: under-tuned, the loss is an upper bound
    loss_unit: str = "nats/token"
    tokenizer: str | None = None
    tokenizer_fingerprint: str | None = None  # two BPEs share a name, not their losses
    n_convention: str = "multiplied"  # what N counts
    source: str = ""
    n_excluded: int = 0  # rows left out because `excluded_outlier` said so

    def __post_init__(self) -> None:
        if not len(self.n_params):
            raise InputError("measurements need at least one row; got none", field="loss")
        _check_lengths({n: v for n in array_names() if (v := getattr(self, n)) is not None})
        for name in POSITIVE:
            _check_positive(getattr(self, name), name)

    def __len__(self) -> int:
        return len(self.n_params)

    @property
    def clusters(self) -> NDArray[np.str_] | None:
        """`group`, a point without one being a cluster of its own; None where there are no groups."""
        if self.group is None:
            return None
        return np.array([g or f"row {i + 1}\n" for i, g in enumerate(self.group)])  # \n: no label

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any], **meta: Any) -> Self:
        """Build from a mapping of columns, for instance `{"n_params": [...], ...}`.

        Args:
            columns: n_params, n_tokens, loss and any of flops, unique_tokens, group, loss_se,
                budget, decayed, censored, excluded_outlier, loss_unit, tokenizer,
                tokenizer_fingerprint. Others are ignored.
                A blank cell is none: flops are then 6 N D, a flag is no, a group or a budget is
                the row alone.
            meta: `loss_unit`, `tokenizer`, `n_convention`, `source`, `n_excluded` of earlier;
                `keep_excluded=True` keeps rows flagged `excluded_outlier`.

        Raises:
            InputError: a column is missing, or a value cannot be meant.
        """
        table = {ALIASES.get(k, k): v for k, v in columns.items() if ALIASES.get(k) not in columns}
        for name in REQUIRED:
            if name not in table:
                raise InputError(
                    f"column {name} is missing; the columns found are {', '.join(columns)}",
                    field=name,
                )
        _check_lengths(table)
        keep = _kept_rows(table, keep_excluded=bool(meta.pop("keep_excluded", False)))
        arrays: dict[str, Any] = {
            n: _convert(table[n], n)[keep]
            for n in array_names()
            if n in REQUIRED or _present(table, n)
        }
        _fill_blanks(arrays)
        for name in POSITIVE:  # by the rows of the table, not of those that are kept
            _check_positive(arrays.get(name), name, np.flatnonzero(keep))
        for name in ("loss_unit", "tokenizer", "tokenizer_fingerprint"):
            if _present(table, name):
                meta.setdefault(name, _one_value(np.asarray(table[name])[keep], name))
        n_excluded = int(meta.pop("n_excluded", 0)) + int((~keep).sum())
        return cls(**arrays, **meta, n_excluded=n_excluded)

    @classmethod
    def from_frame(cls, frame: Any, **meta: Any) -> Self:
        """Build from a pandas data frame; see `from_columns`."""
        return cls.from_columns({str(name): list(frame[name]) for name in frame.columns}, **meta)

    @classmethod
    def from_csv(cls, path: str | Path, **meta: Any) -> Self:
        """Read a CSV with a header line; see `from_columns`."""
        meta.setdefault("source", Path(path).name)
        return cls.from_columns(read_file(path), **meta)

    def to_columns(self) -> dict[str, list[Any]]:
        """Columns as plain lists, `budget_flops` under its CSV name `budget`."""
        named = {n: v.tolist() for n in array_names() if (v := getattr(self, n)) is not None}
        if "group" in named:
            named["group"] = [label or None for label in named["group"]]
        return {("budget" if n == "budget_flops" else n): v for n, v in named.items()}

    def to_frame(self) -> Any:
        """A pandas data frame of `to_columns`."""
        import pandas as pd  # noqa: PLC0415  # a fit on a CSV must not wait for pandas

        return pd.DataFrame(self.to_columns())

    def select(self, mask: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """The rows that `mask` keeps, metadata unchanged."""
        chosen = {n: v[mask] for n in array_names() if (v := getattr(self, n)) is not None}
        return replace(self, **chosen)


def array_names() -> list[str]:
    """Fields that hold one value per row."""
    meta = {
        "loss_unit", "tokenizer", "tokenizer_fingerprint", "n_convention", "source", "n_excluded",
    }  # fmt: skip
    return [f.name for f in fields(Measurements) if f.name not in meta]


def _check_lengths(table: Mapping[str, Any]) -> None:
    n_rows = len(table["n_params"])
    for name, values in table.items():
        if len(values) != n_rows:
            raise InputError(
                f"every column needs one value per row; n_params has {n_rows} and {name} has "
                f"{len(values)}",
                field=name,
            )


def _present(table: Mapping[str, Any], name: str) -> bool:
    return name in table and not all(_blank(v) for v in table[name])


def _blank(value: Any) -> bool:
    return str(value).strip() in ("", "nan", "None")


def _kept_rows(table: Mapping[str, Any], *, keep_excluded: bool) -> NDArray[np.bool_]:
    n_rows = len(table["n_params"])
    if keep_excluded or not _present(table, "excluded_outlier"):
        return np.ones(n_rows, bool)
    return ~_convert_flags(table["excluded_outlier"], "excluded_outlier")


def _convert(values: Iterable[Any], name: str) -> NDArray[Any]:
    if name in {"decayed", "censored"}:
        return _convert_flags(values, name)
    if name == "group":
        return np.array(["" if _blank(v) else str(v) for v in values], dtype=np.str_)
    if name in {"flops", "budget_flops"}:
        values = [float("nan") if _blank(v) else v for v in values]
    try:
        return np.array([float(v) for v in values], dtype=np.float64)
    except (TypeError, ValueError) as e:
        row = next(i for i, v in enumerate(values) if not _is_number(v))
        raise InputError(
            f"{name} must be a number; got {_shown(list(values)[row], name)} in row {row + 1}",
            field=f"{name}[{row}]",
        ) from e


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _shown(value: Any, name: str) -> str:
    if not _blank(value):
        return repr(value)
    return "a blank cell" + ("" if name in REQUIRED else " (fill all of its rows, or none)")


def _convert_flags(values: Iterable[Any], name: str) -> NDArray[np.bool_]:
    silent = "" if name == "decayed" else "no"  # who flags outliers only says yes
    words = [silent if _blank(v) else str(v).strip().lower() for v in values]
    for row, word in enumerate(words):
        if word not in YES | NO:
            raise InputError(
                f"{name} must be true or false; got {_shown(word, name)} in row {row + 1}",
                field=f"{name}[{row}]",
            )
    return np.array([word in YES for word in words], bool)


def _one_value(values: NDArray[Any], name: str) -> str:
    found = sorted({str(v) for v in values})
    if len(found) > 1:
        raise InputError(
            f"{name} must be the same in every row; got {', '.join(found)} "
            f"(losses in different units cannot be pooled: fit each alone, or convert them)",
            field=name,
        )
    return found[0]


def _check_positive(values: Array | None, name: str, rows: NDArray[np.intp] | None = None) -> None:
    if values is None:
        return
    floor_ok = values >= 0 if name == "loss_se" else values > 0
    bad = np.flatnonzero(~(np.isfinite(values) & floor_ok & (values <= LARGEST)))
    if bad.size:
        value, row = values[bad[0]], int(bad[0] if rows is None else rows[bad[0]])
        most = f" and at most {LARGEST:.0e}" if np.isfinite(value) and value > LARGEST else ""
        raise InputError(
            f"{name} must be finite and positive{most}; got {value} in row {row + 1}",
            field=f"{name}[{row}]",
        )


def _fill_blanks(arrays: dict[str, Any]) -> None:
    """Compute where a row does not say: 6 N D, and a budget of its own."""
    with np.errstate(over="ignore"):  # what overflows is refused by name
        counted = train_flops(1.0, 1.0) * arrays["n_params"] * arrays["n_tokens"]
    said = arrays.get("flops", np.full(len(counted), np.nan))
    arrays["flops"] = np.where(np.isnan(said), counted, said)
    if (asked := arrays.get("budget_flops")) is not None:
        arrays["budget_flops"] = np.where(np.isnan(asked), arrays["flops"], asked)
