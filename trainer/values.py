"""Frozen configs from plain JSON values, and the checks of their values. No torch.

Each refusal is a ValueError that names the value by its path, such as `run.horizons[0]`.
"""

import dataclasses
import math
import typing
from typing import Any, TypeVar

from fitting.errors import InputError

_T = TypeVar("_T")
N_SEEDS = 2**64  # torch takes so many


def build(cls: type[_T], d: Any, *, path: str) -> _T:
    """A frozen config from plain JSON values; nested configs and tuples too.

    Raises:
        ValueError: not an object, an unknown key, or a missing one; names the path.
    """
    if not isinstance(d, dict):
        raise ValueError(f"{path} must be an object; got {type(d).__name__}")  # noqa: TRY004
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(d) - set(known))
    if unknown:
        raise ValueError(f"{path}: unknown key {unknown[0]!r}; known keys are {sorted(known)}")
    missing = [
        n
        for n, f in known.items()
        if n not in d
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"{path}: missing key {missing[0]!r}")
    return cls(**{k: _plain(hints[k], v, path=f"{path}.{k}") for k, v in d.items()})


def _plain(hint: Any, value: Any, *, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return build(hint, value, path=path)  # type: ignore[arg-type]
    if typing.get_origin(hint) is tuple:
        return _tuple(typing.get_args(hint), value, path=path)
    if hint is float:
        return _number(value, path)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)  # 1.0e9 is a count as well, and the same run
    if hint in (int, str, bool) and type(value) is not hint:
        raise ValueError(f"{path} must be {hint.__name__}; got {value!r}")
    return value


def _tuple(hints: tuple[Any, ...], value: Any, *, path: str) -> tuple[Any, ...]:
    """Of any length where the hints end in an ellipsis, else one value for each."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{path} must be a list; got {value!r}")  # noqa: TRY004
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(value)
    if len(value) != len(hints):
        raise ValueError(f"{path} must hold {len(hints)} values; got {value!r}")
    pairs = zip(hints, value, strict=True)
    return tuple(_plain(hint, v, path=f"{path}[{i}]") for i, (hint, v) in enumerate(pairs))


def _number(value: Any, path: str) -> float:
    """YAML reads 1e-2 as text and 1 as an integer; both are meant as numbers."""
    try:
        return float(value) if not isinstance(value, bool) else float("nan")
    except (TypeError, ValueError) as e:
        raise ValueError(f"{path} must be a number; got {value!r}") from e


def positive(config: object, path: str, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not 0 < value < math.inf:
            kind = "positive and finite" if value == math.inf else "positive"
            raise ValueError(f"{_at(path, name)} must be {kind}; got {value}")


def in_range(config: object, path: str, below: float, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not 0 <= value < below:
            raise ValueError(f"{_at(path, name)} must lie in [0, {below}); got {value}")


def one_of(config: object, path: str, name: str, known: tuple[str, ...]) -> None:
    value = getattr(config, name)
    if value not in known:
        *first, last = map(repr, known)
        listed = f"{', '.join(first)} or {last}" if first else last
        raise ValueError(f"{_at(path, name)} must be {listed}; got {value!r}")


def check_seed(seed: int) -> None:
    """Of a command. Raises InputError."""
    if not 0 <= seed < N_SEEDS:
        raise InputError(f"seed must lie in [0, {N_SEEDS}); got {seed}", field="seed")


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
