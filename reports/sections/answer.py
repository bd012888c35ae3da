"""What to train: the recommendation, what it costs and by which formulas."""

from collections.abc import Mapping
from typing import Any

from reports import format as f
from reports.document import Fact, Note, Section, Table

Json = Mapping[str, Any]
VERDICTS = {
    "supported": "inside what was measured",
    "extrapolated": "beyond what was measured",
    "refused": "the measurements cannot answer",
}
FIGURE = {"value", "low", "high", "unit", "formula", "sources"}
SHAPE = (
    "n_params",
    "n_layer",
    "d_model",
    "n_head",
    "n_kv_head",
    "d_head",
    "d_ff",
    "mlp",
    "n_expert",
    "top_k",
    "vocab_size",
    "context",
)
FORM_OF_UNIT = {
    "FLOP": "power",
    "device-h": "device_hours",
    "USD": "usd",
    "kWh": "energy",
    "L": "count",
}


def recommendation(r: Json) -> Section:
    """N*, D*, the loss to expect, and how much the choice of N matters."""
    loss, intervals, flat = r["loss"], r["intervals"], r["flat_band"]["n_params"]
    facts = [
        Fact(label="Budget, FLOP", value=f.power(r["flops"]), note=VERDICTS[r["verdict"]]),
        Fact(
            label="Parameters N*",
            value=f.count(r["n_params"]),
            note=f.interval(intervals["n_params"]),
        ),
        Fact(
            label="Tokens D*", value=f.count(r["n_tokens"]), note=f.interval(intervals["n_tokens"])
        ),
        Fact(label="Tokens per parameter", value=f.coefficient(r["tokens_per_param"])),
        Fact(
            label="Loss",
            value=f.loss(loss["value"]),
            note=f.interval((loss["low"], loss["high"]), "loss"),
        ),
        Fact(
            label="Flat band of N",
            value=f.interval(flat) if flat else "unknown",
            note="at most 2 % more compute for the same loss",
        ),
    ]
    return Section(
        title="Recommendation",
        text=(
            *((f"From fit {r['fit_id']}.",) if "fit_id" in r else ()),
            "Ranges are 90 % intervals; the loss's is a prediction interval for one run.",
        ),
        facts=tuple(facts),
        notes=tuple(Note(text=w["message"]) for w in r["warnings"]),
        tables=_architecture(r.get("architecture")),
    )


def _architecture(a: Json | None) -> tuple[Table, ...]:
    if not a:
        return ()
    shown = [name for name in SHAPE if a.get(name)]
    return (
        Table(
            heads=tuple(f"#{name}" if name != "mlp" else name for name in shown),
            rows=(tuple(_cell(name, a[name]) for name in shown),),
            caption=f"The {a['family']} that is trained.",
        ),
    )


def _cell(name: str, value: Any) -> str:
    return f.count(value) if name == "n_params" else str(value)


def cost(c: Json) -> Section:
    """Each figure with its band and the formula that gave it."""
    figures = {n: v for n, v in c.items() if isinstance(v, Mapping) and v.keys() >= FIGURE}
    sources = sorted({source for figure in figures.values() for source in figure["sources"]})
    return Section(
        title="Cost",
        text=(f"{c['n_devices']} × {c['device']}, preset {c['preset']}, {c['accounting']}.",),
        notes=tuple(Note(text=w["message"]) for w in c["warnings"]),
        tables=(
            Table(
                heads=("Figure", "#Value", "#Band", "Formula"),
                rows=tuple(_figure(name, figure) for name, figure in figures.items()),
                caption="Bands are about P10 to P90.",
            ),
            Table(
                heads=("Source",),
                rows=tuple((source,) for source in sources),
                folded=f"{len(sources)} sources",
            ),
        ),
    )


def _figure(name: str, figure: Json) -> tuple[str, ...]:
    scale, form = _form(name, figure["unit"])
    value, low, high = (figure[part] * scale for part in ("value", "low", "high"))
    unit = f" {figure['unit']}" if form in ("power", "coefficient", "count") else ""
    band = f.interval((low, high), form)
    return (name, f.FORMATS[form](value) + unit, band, str(figure["formula"]))


def _form(name: str, unit: str) -> tuple[float, str]:
    """Factor and formatter of a figure."""
    if unit == "days":
        return 24.0, "hours"
    return 1.0, "mass" if name.startswith("tco2e") else FORM_OF_UNIT.get(unit, "coefficient")
