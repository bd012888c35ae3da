"""Reads `tables/`, looks rows up, and lays a user's own file over them.

An overlay is a TOML file with `[[devices]]`, `[[prices]]`, `[[grids]]`, `[[thresholds]]` rows of the
same columns, and `[presets.NAME]` and `[constants.NAME]` tables. Its rows win. Nothing is read
before the first question.
"""

import csv
import difflib
import operator
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, reduce
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fitting.costs.figures import Figure, leaf
from fitting.costs.rows import PRICE_KINDS, Device, Grid, Model, Price, Run, Threshold, build
from fitting.errors import InputError

_R = TypeVar("_R", bound="Row")
SECTIONS = ("devices", "prices", "grids", "thresholds", "presets", "constants")


class Row(Protocol):
    @property
    def id(self) -> str: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    devices: Mapping[str, Device]
    prices: tuple[Price, ...]
    grids: Mapping[str, Grid]
    thresholds: tuple[Threshold, ...]
    models: Mapping[str, Model]
    runs: Mapping[str, Run]
    constants: Mapping[str, Any]
    presets: Mapping[str, Mapping[str, Any]]
    laws: Mapping[str, Mapping[str, Any]]
    learning_rates: Mapping[str, Mapping[str, Any]]
    overlay: str = ""

    def device(self, name: str) -> Device:
        return _lookup(self.devices, name, "device")

    def grid(self, name: str) -> Grid:
        return _lookup(self.grids, name, "region")

    def model(self, name: str) -> Model:
        return _lookup(self.models, name, "model")

    def preset(self, name: str) -> Mapping[str, Any]:
        if name not in self.presets:
            raise InputError(
                f"preset must be one of {sorted(self.presets)}; got {name!r}", field="preset"
            )
        return self.presets[name]

    def constant(self, *path: str, name: str = "", unit: str = "") -> Figure:
        """A banded number of constants.toml, such as ("utilisation", "h100")."""
        row: Any = reduce(operator.getitem, path, self.constants)
        band = (row.get("low", row["value"]), row.get("high", row["value"]))
        source = f"{row['source']} ({row['as_of']})"
        return leaf(name or " ".join(path), row["value"], unit, band=band, source=source)


def load_tables(overlay: Path | str | None = None) -> Tables:
    """The shipped tables, with the rows of `overlay` winning where it has any.

    Raises:
        InputError: the overlay is no TOML, has an unknown section or column, or a row without
            source and as_of.
    """
    return _overlaid(_shipped(), Path(overlay)) if overlay else _shipped()


@cache
def _shipped() -> Tables:
    return Tables(
        devices=_by_id(Device, "devices"),
        prices=tuple(build(Price, r, where="prices.csv") for r in _csv("prices")),
        grids=_by_id(Grid, "grids"),
        thresholds=tuple(build(Threshold, r, where="thresholds.csv") for r in _csv("thresholds")),
        models=_by_id(Model, "models"),
        runs=_by_id(Run, "runs"),
        constants=_toml("constants"),
        presets=_toml("presets"),
        laws=_toml("laws"),
        learning_rates=_toml("learning_rates"),
    )


def _read(name: str) -> str:
    return (files("fitting.costs") / "tables" / name).read_text("utf-8")


def _csv(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(_read(f"{name}.csv").splitlines()))


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads(_read(f"{name}.toml"))


def _by_id(cls: type[_R], name: str) -> dict[str, _R]:
    rows = (build(cls, r, where=f"{name}.csv") for r in _csv(name))
    return {r.id: r for r in rows}


def key(name: str) -> str:
    """`NVIDIA H100 SXM` and `h100_sxm` are one device."""
    words = name.strip().lower().replace("_", " ").replace("-", " ").split()
    return "-".join(w for w in words if w != "nvidia")


def _lookup(rows: Mapping[str, _R], name: str, what: str) -> _R:
    """By id or alias. Raises InputError with the nearest names: never a silent substitute."""
    wanted = key(name)
    found = rows.get(wanted) or _by_alias(rows.values(), wanted)
    if found is not None:
        return found
    near = difflib.get_close_matches(wanted, rows, n=4, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else f"known are {', '.join(list(rows)[:8])}…"
    raise InputError(
        f"{what} {name!r} is unknown; {hint} (or add a row in an overlay file)", field=what
    )


def _by_alias(rows: Iterable[_R], wanted: str) -> _R | None:
    for row in rows:
        names = (*getattr(row, "aliases", ()), getattr(row, "name", ""))
        if wanted in (key(n) for n in names if n):
            return row
    return None


def _overlaid(base: Tables, path: Path) -> Tables:
    try:
        top = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as e:
        raise InputError(f"overlay {path}: {e}", field="overlay") from e
    unknown = sorted(set(top) - set(SECTIONS))
    if unknown:
        raise InputError(
            f"overlay {path}: unknown section {unknown[0]!r}; known are {SECTIONS}", field="overlay"
        )
    where, mine = f"overlay {path}", f" [overlay {path.name}]"
    limits = {t.id: t for t in base.thresholds}
    changed = replace(
        base,
        devices=_rows(Device, top, "devices", base.devices, where),
        grids=_rows(Grid, top, "grids", base.grids, where),
        thresholds=tuple(_rows(Threshold, top, "thresholds", limits, where).values()),
        presets=_merged(base.presets, top.get("presets", {}), f"{where} presets"),
        constants=_merged(base.constants, top.get("constants", {}), f"{where} constants"),
        overlay=str(path),
    )
    prices = tuple(_price(r, changed, where, mine) for r in top.get("prices", []))
    # the first default row of a device and kind is used
    return replace(changed, prices=(*prices, *base.prices))


def _merged(base: Mapping[str, Any], top: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Nested tables, the overlay's values winning; a table with values says its own source."""
    result = dict(base)
    if any(not isinstance(v, dict) for v in top.values()):
        for name in ("source", "as_of"):
            if name not in top:
                raise InputError(f"{where}: {name} is missing", field=name)
    for name, value in top.items():
        old = result.get(name, {})
        result[name] = _merged(old, value, f"{where}.{name}") if isinstance(value, dict) else value
    return result


def _price(row: dict[str, Any], tables: Tables, where: str, mine: str) -> Price:
    price = build(Price, {"default": True, **row}, where=f"{where} prices")
    if price.kind not in PRICE_KINDS:
        raise InputError(
            f"{where}: kind must be one of {PRICE_KINDS}; got {price.kind!r}", field="kind"
        )
    return replace(price, device=tables.device(price.device).id, source=price.source + mine)


def _rows(
    cls: type[Any], top: Mapping[str, Any], section: str, base: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """The base rows, changed or joined by the overlay's; each says its own source."""
    result: dict[str, Any] = dict(base)
    for row in top.get(section, []):
        for name in ("id", "source", "as_of"):
            if name not in row:
                raise InputError(f"{where} {section}: {name} is missing", field=name)
        old = asdict(result[row["id"]]) if row["id"] in result else {}
        merged = {k: v for k, v in old.items() if v is not None} | row
        result[row["id"]] = build(cls, merged, where=f"{where} {section}")
    return result
