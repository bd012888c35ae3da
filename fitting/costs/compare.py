"""Side by side: the lecture, Meta and our own estimate for one run, and why they differ.

Also predicted against disclosed device-hours, for every run that disclosed them.
"""

from dataclasses import dataclass
from typing import Any

from fitting.costs.estimate import Estimate, estimate
from fitting.costs.figures import Figure, product
from fitting.costs.rows import Model, Run
from fitting.costs.tables import Tables, load_tables


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """From one column to another: ratio of hours times ratio of CO2 per hour, and why."""

    hours: float
    co2_per_hour: float
    why_hours: str
    why_co2: str

    @property
    def total(self) -> float:
        return self.hours * self.co2_per_hour

    @property
    def sentence(self) -> str:
        return (
            f"x{self.total:.2f} in CO2 = x{self.hours:.2f} in device-hours ({self.why_hours}) "
            f"x {self.co2_per_hour:.2f} in CO2 per device-hour ({self.why_co2})"
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "hours": self.hours,
            "co2_per_hour": self.co2_per_hour,
            "total": self.total,
            "why": self.sentence,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class SideBySide:
    """One run, priced three ways. `disclosed_tco2e` is Meta's own figure."""

    lecture: Estimate
    meta: Estimate
    ours: Estimate
    disclosed_tco2e: float
    gap: Gap  # lecture to Meta
    to_ours: Gap  # Meta to ours

    def to_dict(self) -> dict[str, Any]:
        return {
            "lecture": self.lecture.to_dict(),
            "meta": self.meta.to_dict(),
            "ours": self.ours.to_dict(),
            "disclosed_tco2e": self.disclosed_tco2e,
            "gap": self.gap.to_dict(),
            "to_ours": self.to_ours.to_dict(),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A disclosed run and what we would have said."""

    run: Run
    predicted: Figure
    implied_utilisation: float

    @property
    def inside(self) -> bool:
        return self.predicted.low <= self.run.device_h <= self.predicted.high

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.run.id,
            "device": self.run.device,
            "disclosed_device_hours": self.run.device_h,
            "predicted_device_hours": self.predicted.to_dict(),
            "inside": self.inside,
            "implied_utilisation": self.implied_utilisation,
            "source": self.run.source,
        }


def side_by_side(*, tables: Tables | None = None, **assumptions: Any) -> SideBySide:
    """Llama 3 405B on 15.6T tokens: the lecture's envelope, Meta's method, and ours."""
    tables = tables or load_tables()
    model, run = tables.model("llama3-405b"), tables.runs["llama31-405b"]
    lecture = _priced(model, tables, preset="cs229", n_devices=16000, **assumptions)
    meta = _priced(
        model, tables, device_hours=run.device_h, preset="meta", device=run.device,
        n_devices=16384, **assumptions,
    )  # fmt: skip
    ours = _priced(model, tables, device=run.device, n_devices=16384, region="usa", **assumptions)
    disclosed = run.tco2e or meta["tco2e"].value
    return SideBySide(
        lecture=lecture,
        meta=meta,
        ours=ours,
        disclosed_tco2e=disclosed,
        gap=_lecture_to_meta(lecture, meta, disclosed),
        to_ours=_meta_to_ours(meta, ours, disclosed),
    )


def _lecture_to_meta(lecture: Estimate, meta: Estimate, disclosed: float) -> Gap:
    hours, before = meta["device_hours"].value, lecture["device_hours"].value
    implied = disclosed * 1e6 / (hours * meta.inputs["power_w"].value / 1000)
    assumed = lecture.inputs["g_per_kwh"].value
    return Gap(
        hours=hours / before,
        co2_per_hour=disclosed / hours / (lecture["tco2e"].value / before),
        why_hours=f"disclosed: {meta.inputs['utilisation'].value:.1%} of the peak, restarts "
        f"included, against the assumed {lecture.inputs['utilisation'].value:.1%}",
        why_co2=f"Meta's figure implies {implied:.0f} g per kWh of TDP, its PUE of "
        f"{meta.inputs['pue'].value} included, against the lecture's {assumed:.0f} without PUE",
    )


def _meta_to_ours(meta: Estimate, ours: Estimate, disclosed: float) -> Gap:
    hours, after = meta["device_hours"].value, ours["device_hours"].value
    watts, server = meta.inputs["power_w"].value, ours.inputs["power_w"].value
    return Gap(
        hours=after / hours,
        co2_per_hour=ours["tco2e"].value / after / (disclosed / hours),
        why_hours=f"the median run reaches {ours.inputs['utilisation'].value:.1%}, this one "
        f"{meta.inputs['utilisation'].value:.1%}: inside our band",
        why_co2=f"{server:,.0f} W with the server's share, against a bare {watts:,.0f} W",
    )


def disclosed_runs(*, tables: Tables | None = None, **assumptions: Any) -> list[Checked]:
    """Every disclosed run with its predicted hours and its implied utilisation."""
    tables = tables or load_tables()
    result = []
    for run in tables.runs.values():
        found = estimate(
            n_params=run.n_params, n_tokens=run.n_tokens, device=run.device, tables=tables,
            **assumptions,
        )  # fmt: skip
        peak = tables.device(run.device).peak_flop_s
        share = found["flops"].value / (run.device_h * 3600 * peak)
        predicted = product("device_hours", "device-h", [found["device_hours"]])
        result.append(Checked(run=run, predicted=predicted, implied_utilisation=share))
    return result


def _priced(model: Model, tables: Tables, **assumptions: Any) -> Estimate:
    return estimate(
        n_params=model.stated_params,
        n_tokens=model.n_tokens,
        architecture=model.architecture,
        tables=tables,
        **assumptions,
    )
