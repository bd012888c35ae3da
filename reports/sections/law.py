"""What was concluded: the approaches side by side, which of them extrapolated, and which is
trusted; or the coefficients of a single law."""

from collections.abc import Mapping
from typing import Any

from reports import format as f
from reports.document import Note, Section, Table

Json = Mapping[str, Any]


def law(fit: Json) -> tuple[Section, ...]:
    """Sections of a fit's JSON, whichever kind it is."""
    return (approaches(fit), *rollout(fit)) if "approaches" in fit else (coefficients(fit),)


def approaches(fit: Json) -> Section:
    """Exponents of all approaches, and the weight that each has in the answer."""
    rows = tuple(
        (
            a["title"] + (" (trusted)" if name == fit["trusted"] else ""),
            f.coefficient(a["a"]),
            f.interval(a["interval_a"], "coefficient"),
            f.percent(a["residual_sd"]),
            f.percent(a["rollout"]["rms"]) if a["rollout"] else f.DASH,
            f.percent(fit["weights"].get(name, 0.0)),
        )
        for name, a in fit["approaches"].items()
    )
    return Section(
        title="Approaches side by side",
        text=(f"Fit to {fit['n_measurements']} measurements. {_sentence(fit['why'])}",),
        notes=tuple(Note(text=w["message"]) for w in fit["warnings"]),
        tables=(
            Table(
                heads=("Approach", "#a in N* ~ C^a", "#90 %", "#Scatter", "#Rollout", "#Weight"),
                rows=rows,
                caption="Scatter: of ln L around the approach. Rollout: error of the loss on "
                "budgets held out. Weight: in the recommendation.",
            ),
            *_coefficients_of(fit),
        ),
    )


def rollout(fit: Json) -> tuple[Section, ...]:
    """Every budget that was held out and predicted from the smaller ones."""
    rows = tuple(
        (
            a["title"],
            f.power(held["flops"]),
            f"{_times(held)}",
            f.percent(held["loss_error"]),
            f.percent(held["size_error"]),
        )
        for a in fit["approaches"].values()
        for held in (a["rollout"] or {"held_out": ()})["held_out"]
    )
    if not rows:
        return ()
    heads = ("Approach", "#Held out, FLOP", "#Beyond the seen", "#Error of loss", "#Error of N*")
    caption = "Predicted minus measured, relative. A dash: that budget has no minimum inside."
    return (Section(title="Rollout", tables=(Table(heads=heads, rows=rows, caption=caption),)),)


def coefficients(fit: Json) -> Section:
    """One law with its errors."""
    errors, intervals = fit["standard_errors"], fit["intervals"]
    values = {**fit["coefficients"], **fit["exponents"]}
    rows = tuple(
        (
            name,
            f.coefficient(value),
            f.coefficient(errors.get(name)),
            f.interval(intervals.get(name), "coefficient"),
        )
        for name, value in values.items()
    )
    return Section(
        title=f"Law: {fit['law']}",
        text=(
            f"Fit to {fit['n_measurements']} measurements with objective {fit['objective']}.",
            f"Delta {f.coefficient(fit['delta'])}; value {f.coefficient(fit['objective_value'])}.",
        ),
        notes=tuple(Note(text=w["message"]) for w in fit["warnings"]),
        tables=(Table(heads=("", "#Value", "#Standard error", "#90 %"), rows=rows),),
    )


def _coefficients_of(fit: Json) -> tuple[Table, ...]:
    known = {a["title"]: a["coefficients"] for a in fit["approaches"].values() if a["coefficients"]}
    return tuple(
        Table(
            heads=("Coefficients", *(f"#{name}" for name in values)),
            rows=((title, *(f.coefficient(v) for v in values.values())),),
        )
        for title, values in known.items()
    )


def _times(held: Json) -> str:
    return f"×{f.coefficient(2.718281828459045 ** held['distance'])}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
