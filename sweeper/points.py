"""From what a sweep asks to what is to be trained: shapes, and the token counts to measure at.

Every point that is left out, merged or moved to a whole number of steps is told; what cannot be
meant is an InputError with the field's name.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from fitting.costs.architecture import Architecture
from fitting.costs.flops import n_tokens_for
from fitting.errors import InputError
from sweeper.spec import BIGGEST, Recipe, Shape, Size, SweepSpec
from trainer.config import DataSpec, OptimizerSpec, Precision, RunSpec, ScheduleSpec
from trainer.data.manifest import Manifest
from trainer.ladder import MAX_PARAMS, architecture_for
from trainer.recipe import batch_tokens_for, recipe, whole_steps, whole_windows

MIN_STEPS = 10  # RunSpec's own bound
LEAST_SHARE = 4  # of the batch of a trunk's longest horizon, one part in so many
_Config = TypeVar("_Config", DataSpec, OptimizerSpec, ScheduleSpec)


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One measurement asked for."""

    n_tokens: float
    budget_flops: float | None  # what was asked, where compute was asked for
    field: str  # where in the spec, for messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A model and the points to measure it at."""

    model: Architecture
    points: tuple[Point, ...]


def rows(spec: SweepSpec, manifest: Manifest, notes: list[str]) -> Iterator[Row]:
    """Every model of the sweep once, with its points in order of tokens."""
    merged: dict[Architecture, list[Point]] = {}
    for path, size, points in _asked(spec):
        model = model_of(size, spec, manifest.vocab_size, path)
        if model in merged:
            notes.append(f"{path} has the same shape as a size before it; it is trained once")
        made = [_point(model, *p) for p in points]
        merged.setdefault(model, []).extend(_kept(made, model, spec, notes))
    for model, kept in merged.items():
        if kept:
            yield Row(model=model, points=tuple(sorted(kept, key=lambda p: p.n_tokens)))


Asked = tuple[str, float | None, float | None]  # path, tokens, FLOP


def _asked(spec: SweepSpec) -> Iterator[tuple[str, Size, list[Asked]]]:
    for i, entry in enumerate(spec.grid):
        tokens = [(f"grid.{i}.tokens.{j}", n, None) for j, n in enumerate(entry.tokens)]
        yield f"grid.{i}.size", entry.size, [*tokens]
    for i, size in enumerate(spec.sizes):
        asked: list[Asked] = [(f"budgets.{j}", None, c) for j, c in enumerate(spec.budgets)]
        asked += [(f"tokens.{j}", n, None) for j, n in enumerate(spec.tokens)]
        yield f"sizes.{i}", size, asked


def _point(model: Architecture, path: str, n_tokens: float | None, flops: float | None) -> Point:
    n = n_tokens if n_tokens is not None else n_tokens_for(flops or 0.0, model.n_params)
    return Point(n_tokens=n, budget_flops=flops, field=path)


def model_of(size: Size, spec: SweepSpec, vocab_size: int, path: str) -> Architecture:
    """The shape of this size, in the sweep's family and context. Raises InputError."""
    try:
        if not isinstance(size, Shape):
            return architecture_for(
                size, vocab_size=vocab_size, context=spec.context, family=spec.family
            )
        model = Architecture(
            family=spec.family, vocab_size=vocab_size, context=spec.context, **size.model_dump()
        )
        if model.n_params_total > MAX_PARAMS:
            raise InputError(
                f"a model may have {MAX_PARAMS:.3g} parameters; got {model.n_params_total:.3g}"
            )
        return model  # noqa: TRY300
    except ValueError as e:  # InputError too
        raise InputError(f"{path}: {e}", field=path) from e


def _kept(
    points: list[Point], model: Architecture, spec: SweepSpec, notes: list[str]
) -> list[Point]:
    if spec.tokens_per_param is None:
        return points
    low, high = spec.tokens_per_param
    kept = [p for p in points if low <= p.n_tokens / model.n_params <= high]
    out = [p for p in points if p not in kept]
    if out:
        fields = ", ".join(p.field for p in out)
        tokens = ", ".join(f"{p.n_tokens:.4g}" for p in out)
        ratios = ", ".join(f"{p.n_tokens / model.n_params:.4g}" for p in out)
        notes.append(
            f"left out: N={model.n_params} with D={tokens} ({fields}), {ratios} tokens per "
            f"parameter, outside [{low:g}, {high:g}]"
        )
    return kept


def run_spec(
    model: Architecture,
    points: tuple[Point, ...],
    *,
    seed: int,
    fingerprint: str,
    max_epochs: float,
    precision: Precision,
    changes: Recipe,
) -> RunSpec:
    """The trainer's recipe for this model, with what the sweep changes in it.

    One trunk has one batch, that of its shortest horizon: a batch too large for a short horizon
    costs its point up to 5 % of the loss, one too small for a long one little (`reports/LOG.md`).
    That is measured down to a third of what the longest would have; a quarter is the least.

    Raises:
        InputError: a horizon of fewer than ten steps, or a value the trainer cannot mean.
    """
    optimizer, schedule, longest = recipe(model, round(points[-1].n_tokens))
    shortest = batch_tokens_for(points[0].n_tokens, model.context)
    least = whole_windows(longest / LEAST_SHARE, model.context)
    batch_tokens = changes.batch_tokens or max(shortest, least)
    schedule = _changed(schedule, changes)
    if schedule.warmup_share + schedule.cooldown_share >= 1:
        raise InputError(
            "recipe.warmup_share and recipe.cooldown_share must add up to less than 1; got "
            f"{schedule.warmup_share:g} and {schedule.cooldown_share:g}",
            field="recipe.cooldown_share",
        )
    horizons = [_horizon(p, model, batch_tokens) for p in points]
    try:
        return RunSpec(
            model=model,
            data=_changed(DataSpec(fingerprint=fingerprint, max_epochs=max_epochs), changes),
            horizons=tuple(sorted(set(horizons))),
            batch_tokens=batch_tokens,
            optimizer=_changed(optimizer, changes),
            schedule=schedule,
            seed=seed,
            precision=precision,
            **({"eval_tokens": changes.eval_tokens} if changes.eval_tokens else {}),
        )
    except ValueError as e:
        raise InputError(str(e), field="recipe") from e


def _horizon(point: Point, model: Architecture, batch_tokens: int) -> int:
    if point.n_tokens >= BIGGEST:
        raise InputError(
            f"{point.field} gives the model of N={model.n_params} {point.n_tokens:.4g} tokens; a "
            f"run may take fewer than {BIGGEST:.4g}",
            field=point.field,
        )
    if point.n_tokens < MIN_STEPS * batch_tokens:
        raise InputError(
            f"{point.field} gives the model of N={model.n_params} only {point.n_tokens:.4g} tokens, "
            f"fewer than {MIN_STEPS} steps of {batch_tokens} (leave such points out with "
            f"tokens_per_param: [{MIN_STEPS * batch_tokens / model.n_params:.3g}, …], or set a "
            "smaller recipe.batch_tokens)",
            field=point.field,
        )
    return whole_steps(point.n_tokens, batch_tokens)


def _changed(config: _Config, changes: Recipe) -> _Config:
    known = {f.name for f in fields(config)}
    given = changes.model_dump(exclude_none=True)
    return replace(config, **{k: v for k, v in given.items() if k in known})
