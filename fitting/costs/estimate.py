"""The price of a training run: time, money, energy, carbon, water, and what they rest on."""

from dataclasses import dataclass
from typing import Any

from fitting.costs.architecture import Architecture
from fitting.costs.assumptions import Assumptions
from fitting.costs.energy import equivalences
from fitting.costs.figures import S_PER_H, Figure, leaf, product
from fitting.costs.flops import C_CONVENTION
from fitting.costs.goodput import Goodput, young_daly
from fitting.costs.memory import Memory, memory
from fitting.costs.rates import Rates, price, resolve
from fitting.costs.speed import check_ceiling
from fitting.costs.tables import Tables
from fitting.costs.thresholds import Crossing, thresholds
from fitting.costs.workload import Workload, compute
from fitting.errors import Note


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """`figures` has flops, device_hours, days, usd, energy_kwh, tco2e, … in order of derivation."""

    rates: Rates
    figures: dict[str, Figure]
    inputs: dict[str, Figure]
    equivalences: dict[str, Figure]
    project: dict[str, dict[str, Figure]]
    thresholds: tuple[Crossing, ...]
    goodput: Goodput | None
    memory: Memory | None
    n_params: float | None = None  # where it is known
    n_tokens: float | None = None
    warnings: tuple[Note, ...] = ()

    def __getitem__(self, name: str) -> Figure:
        return self.figures[name]

    def get(self, name: str) -> Figure | None:
        """None where the tables cannot tell, such as a price nobody lists."""
        return self.figures.get(name)

    @property
    def unverified(self) -> dict[str, tuple[str, ...]]:
        """Sources that are an assumption or were not read again, and the figures that use them."""
        found: dict[str, list[str]] = {}
        for name, f in {**self.figures, **self.equivalences}.items():
            for source in f.sources:
                if any(word in source for word in ("assumption", "unverified")):
                    found.setdefault(source, []).append(name)
        return {source: tuple(names) for source, names in found.items()}

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `isoflop estimate --json`."""
        a = self.rates.assumptions
        figures: dict[str, Any] = {name: f.to_dict() for name, f in self.figures.items()}
        missing = {n: None for n in ("usd", "usd_total", "energy_kwh", "tco2e") if n not in figures}
        return {
            **figures,
            **missing,
            "inputs": {name: f.to_dict() for name, f in self.inputs.items()},
            "equivalences": {name: f.to_dict() for name, f in self.equivalences.items()},
            "project": {
                name: {n: f.to_dict() for n, f in row.items()} for name, row in self.project.items()
            },
            "thresholds": [c.to_dict() for c in self.thresholds],
            "goodput": self.goodput and self.goodput.to_dict(),
            "memory": self.memory and self.memory.to_dict(),
            "n_params": self.n_params,
            "n_tokens": self.n_tokens,
            "device": self.rates.device.id,
            "n_devices": self.rates.n_devices,
            "preset": a.preset,
            "accounting": self.rates.place.label,
            "flops_convention": C_CONVENTION,
            "assumptions": a.stated(),
            "unverified": [{"source": s, "figures": list(n)} for s, n in self.unverified.items()],
            "warnings": [n.to_dict() for n in self.warnings],
        }


def estimate(
    *,
    flops: float | None = None,
    n_params: float | None = None,
    n_tokens: float | None = None,
    architecture: Architecture | None = None,
    device_hours: float | None = None,
    tables: Tables | None = None,
    **assumptions: Any,
) -> Estimate:
    """Price a training run.

    Args:
        flops: C = 6ND [FLOP]; or `n_params` and `n_tokens`; or `architecture` and `n_tokens`.
        architecture: also gives the exact count and, with `n_devices`, the memory.
        device_hours: disclosed or metered hours; they replace those computed from speed.
        tables: shipped tables, or `load_tables(overlay)`.
        **assumptions: fields of `fitting.costs.assumptions.Assumptions`.

    Raises:
        InputError: a value out of range, an unknown device, region or preset, a price far off its
            kind, a utilisation above what the device can reach.
    """
    work = Workload(
        flops=flops,
        n_params=n_params,
        n_tokens=n_tokens,
        architecture=architecture,
        device_hours=device_hours,
    )
    return estimate_with(resolve(Assumptions(**assumptions), tables), work)


def estimate_with(rates: Rates, work: Workload) -> Estimate:
    """`estimate` with everything already looked up."""
    figures = {f.name: f for f in compute(work, rates)}
    figures |= price(rates, figures["flops"], device_hours=work.hours)
    return _assemble(rates, figures, work)


def _assemble(rates: Rates, figures: dict[str, Figure], work: Workload) -> Estimate:
    a, tables, shape = rates.assumptions, rates.tables, work.architecture
    known = shape is not None and rates.device.memory_gb is not None
    many = a.n_devices is not None and a.n_devices > 1
    return Estimate(
        rates=rates,
        figures=figures,
        inputs=_inputs(rates, figures, work),
        equivalences=equivalences(figures, tables),
        project=_project(rates, figures),
        thresholds=thresholds(figures["flops"].value, tables, a.date),
        goodput=young_daly(rates.n_devices, tables=tables) if many else None,
        memory=memory(shape, rates.device, rates.n_devices) if shape and known else None,
        n_params=work.params,
        n_tokens=work.n_tokens,
        warnings=rates.notes + _hours_note(rates, work),
    )


def _inputs(rates: Rates, figures: dict[str, Figure], work: Workload) -> dict[str, Figure]:
    fast, where = rates.speed, rates.place
    if work.hours is not None:  # what the hours say, not what the tables would have said
        terms = [figures["device_hours"], S_PER_H]
        achieved = product("achieved", "FLOP/s", [figures["flops"]], terms)
        share = product("utilisation", "of the dense peak", [achieved], [fast.peak])
        if rates.device.family != "cpu":  # whose peak is a stand-in for any core
            check_ceiling(
                rates.assumptions, rates.device, share.value, field="device_hours",
                remedy=f"{work.device_hours:g} device-hours are too few for "
                f"{figures['flops'].value:.3g} FLOP (count all devices together)",
            )  # fmt: skip
    else:
        achieved, share = fast.flop_s, fast.utilisation
    found = {
        "achieved_flop_s": achieved,
        "utilisation": share,
        "price": rates.price,
        "power_w": where.power_w,
        "pue": where.pue,
        "g_per_kwh": where.g_per_kwh,
    }
    return {name: f for name, f in found.items() if f is not None}


def _hours_note(rates: Rates, work: Workload) -> tuple[Note, ...]:
    preset = rates.assumptions.preset
    if rates.tables.preset(preset).get("hours_from") != "disclosed" or work.hours is not None:
        return ()
    message = f"preset {preset!r} wants device_hours: computed from utilisation instead"
    return (Note("computed_hours", message),)


def _project(rates: Rates, figures: dict[str, Figure]) -> dict[str, dict[str, Figure]]:
    """The whole project over its final run, by those who disclosed it; off in fixed presets."""
    a, rows = rates.assumptions, rates.tables.constants["project"]
    if a.project_factor is not None:
        factors = {"given": leaf("project over final run", a.project_factor, "")}
    elif "flop_s" in rates.tables.preset(a.preset):
        return {}
    else:
        factors = {
            name: leaf(f"project over final run ({name})", row["factor"], "", source=row["source"])
            for name, row in rows.items()
        }
    names = [n for n in ("device_hours", "usd", "tco2e") if n in figures]
    return {
        who: {n: product(n, figures[n].unit, [figures[n], factor]) for n in names}
        for who, factor in factors.items()
    }
