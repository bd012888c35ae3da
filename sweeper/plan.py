"""A sweep before it runs: which runs, and what they cost. No torch.

`plan` is pure: the same spec and corpus give the same plan, and nothing is written anywhere.
"""

from dataclasses import dataclass
from typing import Any

from fitting.costs.estimate import Estimate, estimate
from fitting.costs.flops import train_flops
from fitting.costs.small import core_speed
from fitting.costs.tables import load_tables
from fitting.errors import InputError
from sweeper.points import Point, rows, run_spec
from sweeper.spec import SweepSpec
from trainer.config import RunSpec
from trainer.data.manifest import Manifest
from trainer.validate import validate

CPU_DEVICE = "cpu-core"  # what a run on the CPU is priced as, unless told otherwise


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    spec: RunSpec
    budgets: tuple[tuple[int, float], ...]  # (horizon, FLOP asked for), where FLOP were asked for

    def to_dict(self) -> dict[str, Any]:
        model = self.spec.model
        asked = dict(self.budgets)
        return {
            "spec_hash": self.spec.fingerprint(),
            "n_params": model.n_params,
            "n_layer": model.n_layer,
            "d_model": model.d_model,
            "n_head": model.n_head,
            "seed": self.spec.seed,
            "n_tokens": self.spec.n_tokens,
            "n_tokens_processed": self.spec.n_tokens_processed,
            "flops": self.spec.flops,
            "points": [
                {
                    "n_tokens": h,
                    "flops": train_flops(model.n_params, h),
                    "budget_flops": asked.get(h),
                    "tokens_per_param": h / model.n_params,
                }
                for h in self.spec.horizons
            ],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    runs: tuple[PlannedRun, ...]
    estimate: Estimate
    notes: tuple[str, ...]  # what was left out or merged

    @property
    def flops(self) -> float:
        """Of all runs, branches included [FLOP]."""
        return sum(run.spec.flops for run in self.runs)

    @property
    def hours(self) -> float:
        """Device-hours."""
        return self.estimate["device_hours"].value

    @property
    def usd(self) -> float | None:
        return _value(self.estimate, "usd_total")

    def price(self) -> dict[str, Any]:
        """The totals, and how they came about."""
        figures = ("device_hours", "usd_total", "energy_kwh", "tco2e")
        return {
            "n_runs": len(self.runs),
            "n_points": sum(len(run.spec.horizons) for run in self.runs),
            "flops": self.flops,
            "hours": self.hours,
            "usd": self.usd,
            "energy_kwh": _value(self.estimate, "energy_kwh"),
            "tco2e": _value(self.estimate, "tco2e"),
            "device": self.estimate.rates.device.id,
            "figures": {n: f.to_dict() for n in figures if (f := self.estimate.get(n))},
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.price(),
            "runs": [run.to_dict() for run in self.runs],
            "notes": list(self.notes),
        }


def plan(spec: SweepSpec, manifest: Manifest) -> Plan:
    """Every run of the sweep, checked as far as can be without training, and its price.

    Raises:
        InputError: a shape, horizon or token count that cannot be trained, no point left, or a
            price above the sweep's own limits; names the field.
    """
    notes: list[str] = []
    runs = tuple(_runs(spec, manifest, notes))
    if not runs:
        raise InputError(
            "tokens_per_param leaves no point of the sweep; widen it", field="tokens_per_param"
        )
    _check_tokens(runs, spec, manifest)
    for run in runs:
        validate(run.spec, manifest)
    total, device = sum(run.spec.flops for run in runs), priced_as(spec)
    made = Plan(
        runs=runs,
        estimate=estimate(flops=total, device=device, **_speed(runs, device)),
        notes=tuple(notes),
    )
    _check_limits(made, spec)
    return made


def _speed(runs: tuple[PlannedRun, ...], device: str) -> dict[str, Any]:
    """What the size of the runs tells of their speed, where it decides it."""
    if device != CPU_DEVICE:
        return {}
    return core_speed([(r.spec.model.n_params, r.spec.flops) for r in runs], load_tables())


def _runs(spec: SweepSpec, manifest: Manifest, notes: list[str]) -> list[PlannedRun]:
    made: list[PlannedRun] = []
    for row in rows(spec, manifest, notes):
        trunks = [row.points] if spec.share_trunks else [(p,) for p in row.points]
        for points in trunks:
            for seed in spec.seeds:
                run = run_spec(
                    row.model,
                    points,
                    seed=seed,
                    fingerprint=manifest.fingerprint,
                    max_epochs=spec.max_epochs,
                    precision=spec.precision,
                    changes=spec.recipe,
                )
                made.append(PlannedRun(spec=run, budgets=_budgets(run, points, notes)))
    return _once(made, notes)


def _budgets(
    run: RunSpec, points: tuple[Point, ...], notes: list[str]
) -> tuple[tuple[int, float], ...]:
    """Which horizon answers which budget: the nearest."""
    if len(run.horizons) < len(points):
        notes.append(
            f"N={run.model.n_params}: {len(points)} points fall on {len(run.horizons)} horizons of "
            f"whole steps ({run.batch_tokens} tokens)"
        )
    nearest = {min(run.horizons, key=lambda h: abs(h - p.n_tokens)): p for p in points}
    return tuple((h, p.budget_flops) for h, p in sorted(nearest.items()) if p.budget_flops)


def _once(runs: list[PlannedRun], notes: list[str]) -> list[PlannedRun]:
    by_hash = {run.spec.fingerprint(): run for run in reversed(runs)}
    if len(by_hash) < len(runs):
        notes.append(f"{len(runs) - len(by_hash)} runs were asked for twice; each is trained once")
    return list(reversed(by_hash.values()))


def _check_tokens(runs: tuple[PlannedRun, ...], spec: SweepSpec, manifest: Manifest) -> None:
    most, held = max(run.spec.n_tokens for run in runs), manifest.n_tokens("train")
    if most > spec.max_epochs * held:
        raise InputError(
            f"max_epochs must be at least {most / held:.3g}: the longest run takes {most} tokens, "
            f"the corpus {spec.data!r} holds {held} and may be read {spec.max_epochs:g} times "
            "(raise max_epochs, prepare more text, or ask for fewer tokens)",
            field="max_epochs",
        )


def priced_as(spec: SweepSpec) -> str:
    """Raises InputError: a device that is in no table, or a GPU that nobody named."""
    if spec.priced_as is not None:
        try:
            load_tables().device(spec.priced_as)
        except InputError as e:
            raise InputError(f"priced_as: {e}", field="priced_as") from e
        return spec.priced_as
    if spec.device == "cuda":
        raise InputError(
            "priced_as must name the GPU when device is cuda, such as h100-sxm; got none",
            field="priced_as",
        )
    return CPU_DEVICE


def _check_limits(made: Plan, spec: SweepSpec) -> None:
    found = {"flops": made.flops, "usd": made.usd, "hours": made.hours}
    for name, value in found.items():
        limit = getattr(spec.limits, name)
        if limit is None:
            continue
        if value is None:
            raise InputError(
                f"limits.{name} cannot be checked: {made.estimate.rates.device.id} has no price",
                field=f"limits.{name}",
            )
        if value > limit:
            raise InputError(
                f"limits.{name} is {limit:g} and the plan comes to {value:.4g}; raise the limit or "
                "ask for fewer or smaller points",
                field=f"limits.{name}",
            )


def _value(e: Estimate, name: str) -> float | None:
    figure = e.get(name)
    return None if figure is None else figure.value
