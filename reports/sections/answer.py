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
FORM_OF_UNIT = {"FLOP": "power", "device-h": "hours", "USD": "usd", "kWh": "energy"}


def recommendation(r: Json) -> Section:
    """N*, D*, the loss to expect, and how much the choice of N matters."""
    loss, intervals = r["loss"], r["intervals"]
    facts = [
        Fact(label="Budget", value=f"{f.power(r['flops'])} FLOP", note=VERDICTS[r["verdict"]]),
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
            value=f.interval(r["flat_band"]["n_params"]),
            note="at most 2 % more compute for the same loss",
        ),
    ]
    kind = "bad" if r["verdict"] == "refused" else "warn"
    return Section(
        title="Recommendation",
        text=("Ranges are 90 % intervals; the loss's is a prediction interval for one run.",),
        facts=tuple(facts),
        notes=tuple(Note(text=w["message"], kind=kind) for w in r["warnings"]),
        tables=_architecture(r.get("architecture")),
    )


def _architecture(a: Json | None) -> tuple[Table, ...]:
    if not a:
        return ()
    shown = [(k, v) for k, v in a.items() if not isinstance(v, (dict, list))]
    row = tuple(
        f.count(v) if k.startswith("n_params") else f"{v:g}" if isinstance(v, float) else str(v)
        for k, v in shown
    )
    heads = tuple(f"#{k}" if isinstance(v, (int, float)) else k for k, v in shown)
    return (Table(heads=heads, rows=(row,), caption="The shape that is trained."),)


def cost(c: Json) -> Section:
    """Each figure with its band and the formula that gave it."""
    figures = {n: v for n, v in c.items() if isinstance(v, Mapping) and "formula" in v}
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
            Table(heads=("Sources",), rows=tuple((source,) for source in sources)),
        ),
    )


def _figure(name: str, figure: Json) -> tuple[str, ...]:
    form = "mass" if name.startswith("tco2e") else FORM_OF_UNIT.get(figure["unit"], "coefficient")
    value = f.FORMATS[form](figure["value"])
    unit = f" {figure['unit']}" if form in ("power", "coefficient") else ""
    band = f.interval((figure["low"], figure["high"]), form)
    return (name, value + unit, band, str(figure["formula"]))
