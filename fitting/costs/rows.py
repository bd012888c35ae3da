"""The kinds of row in `tables/`. Every row says where it comes from and as of when."""

import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import date
from functools import cache
from typing import Any, Literal, TypeVar

from fitting.costs.architecture import Architecture
from fitting.errors import InputError

_T = TypeVar("_T")
_LABEL = re.compile(r"(peak|power|node|embodied|memory): ")
PriceKind = Literal["on-demand", "1y", "3y", "spot"]
PRICE_KINDS: tuple[str, ...] = ("on-demand", "1y", "3y", "spot")


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """One accelerator. Peaks are dense (no 2:4 sparsity), with fp32 accumulation."""

    id: str
    aliases: tuple[str, ...] = ()
    name: str
    vendor: str = ""
    launch_year: int | None = None
    family: str = "other"  # whose disclosed runs it is compared with
    peak_tflops: float
    peak_dtype: str = "bf16"
    fp8_tflops: float | None = None
    ceiling_tflops: float | None = None  # achievable in a matrix product, measured
    memory_gb: float | None = None
    mem_bw_gb_s: float | None = None
    tdp_w: float | None = None
    devices_per_node: int = 8
    node_overhead: float | None = None  # server power over device power
    embodied_kg: float | None = None
    as_of: str
    source: str
    note: str = ""

    @property
    def peak_flop_s(self) -> float:
        return self.peak_tflops * 1e12

    def source_of(self, what: str) -> str:
        """Where "peak", "power", "node" or "embodied" comes from, and as of when.

        `source` is "peak's; power: …; node: …"; one that is not told apart counts for all.
        """
        parts: dict[str, list[str]] = {}
        label = "peak"
        for piece in self.source.split("; "):
            found = _LABEL.match(piece)
            label = found[1] if found else label
            parts.setdefault(label, []).append(piece)
        return f"{'; '.join(parts.get(what, [self.source]))} ({self.as_of})"

    @property
    def ceiling(self) -> float:
        """Highest utilisation that a matrix product reaches."""
        return (self.ceiling_tflops or self.peak_tflops) / self.peak_tflops


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    device: str
    kind: str
    usd_h: float
    provider: str
    region: str = ""
    as_of: str
    default: bool = False  # the row of its device and kind to use unless a provider is named
    source: str
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    id: str
    aliases: tuple[str, ...] = ()
    name: str
    g_per_kwh: float
    marginal_g_per_kwh: float | None = None
    accounting: str = "location"
    basis: str = ""
    pue: float | None = None
    as_of: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    id: str
    name: str
    flops: float
    from_date: date
    until_date: date | None = None
    meaning: str = ""
    as_of: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A published model: its shape, and what its authors state about it."""

    id: str
    aliases: tuple[str, ...] = ()
    group: str = ""
    stated_params: float
    stated_active: float | None = None
    n_layer: int
    d_model: int
    n_head: int
    n_kv_head: int = 0
    d_head: int = 0
    d_ff: int = 0
    vocab_size: int
    context: int
    mlp: str
    family: str
    tied: bool = False
    n_tokens: float
    batch_tokens: float | None = None
    lr: float | None = None
    as_of: str
    source: str
    note: str = ""

    @property
    def architecture(self) -> Architecture:
        names = [f.name for f in fields(Architecture) if f.name in self.__slots__]
        return Architecture(qk_norm=False, **{n: getattr(self, n) for n in names})


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A disclosed training run. Confidence A or B: hours stated by the authors."""

    id: str
    name: str
    device: str
    n_params: float  # active
    n_tokens: float
    device_h: float
    n_devices: float | None = None
    tco2e: float | None = None
    usd: float | None = None
    confidence: str
    as_of: str
    source: str
    note: str = ""


def build(cls: type[_T], values: Mapping[str, Any], *, where: str) -> _T:
    """A row from the strings of a CSV file or the values of a TOML table.

    Raises:
        InputError: an unknown or missing column, or a value of the wrong kind; names them.
    """
    hints = _hints(cls)  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise InputError(f"{where}: unknown column {unknown[0]!r}; known are {sorted(hints)}")
    given = {k: v for k, v in values.items() if v != ""}
    for f in fields(cls):  # type: ignore[arg-type]
        if f.name not in given and f.default is MISSING:
            raise InputError(f"{where}: {f.name} is missing; every row needs it", field=f.name)
    row = {k: _convert(hints[k], v, where=f"{where}.{k}") for k, v in given.items()}
    try:
        as_date(row["as_of"])
    except ValueError as e:
        message = f"{where}: as_of must be a year, a month or a day; got {row['as_of']!r}"
        raise InputError(message, field="as_of") from e
    return cls(**row)


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _convert(hint: Any, value: Any, *, where: str) -> Any:
    if isinstance(hint, types.UnionType):
        hint = typing.get_args(hint)[0]
    try:
        if hint is bool:
            return value in (True, "yes")
        if hint is date:
            return value if isinstance(value, date) else date.fromisoformat(value)
        if typing.get_origin(hint) is tuple:
            return tuple(value.split(";")) if isinstance(value, str) else tuple(value)
        return hint(value)
    except (TypeError, ValueError) as e:
        raise InputError(f"{where}: {value!r} is not a {hint.__name__}", field=where) from e


def as_date(as_of: str) -> date:
    """The first day of a date that may be a year or a month only."""
    parts = [int(p) for p in str(as_of).split("-")]
    return date(*[*parts, 1, 1][:3])
