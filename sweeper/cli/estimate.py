"""`isoflop estimate` prices a run; `isoflop budget` says what to train on a budget in any unit."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from fitting.costs.estimate import Estimate
    from fitting.costs.question import Answer, Law
    from fitting.costs.tables import Tables

Text: TypeAlias = str | None
Number: TypeAlias = float | None
Count: TypeAlias = int | None
Json = Annotated[bool, typer.Option("--json", help="Print strict JSON.")]
Explain = Annotated[bool, typer.Option(help="Every figure with its formula and sources.")]
Overlay = Annotated[Path | None, typer.Option(help="TOML file whose rows win over the tables.")]
Today = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Judge prices by it.")]
Preset = Annotated[str, typer.Option(help="cs229, meta or measured.")]
Device = Annotated[str, typer.Option(help="Such as h100-sxm, a100, cpu-core.")]
Mfu = Annotated[Number, typer.Option(help="Measured MFU of a sweep, in (0, 1].")]
FlopS = Annotated[Number, typer.Option(help="Measured 6ND FLOP/s of one device.")]
Utilisation = Annotated[str, typer.Option(help="family, or decomposed.")]
Kind = Annotated[str, typer.Option(help="on-demand, 1y, 3y or spot.")]
Region = Annotated[str, typer.Option(help="Country or cloud region of the grid.")]
UsdPerHour = Annotated[Number, typer.Option(help="Price of a device-hour.")]
Power = Annotated[Number, typer.Option(help="Measured watts of one device.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(estimate)
    app.command()(budget)


def estimate(
    *,
    params: Annotated[Text, typer.Option(help="N, such as 405e9 or 405B.")] = None,
    tokens: Annotated[Text, typer.Option(help="D, such as 15.6T.")] = None,
    flops: Annotated[Text, typer.Option(help="C instead of N and D.")] = None,
    model: Annotated[Text, typer.Option(help="A published model: its N, D and shape.")] = None,
    budget: Annotated[Text, typer.Option(help="A budget in any unit, such as '$75M'.")] = None,
    device_hours: Annotated[Text, typer.Option(help="Disclosed or metered hours.")] = None,
    device: Device = "",
    devices: Annotated[Count, typer.Option(help="How many.")] = None,
    preset: Preset = "measured",
    mfu: Mfu = None,
    flop_s: FlopS = None,
    utilisation: Utilisation = "family",
    goodput: Annotated[Number, typer.Option(help="Share of wall time that trains.")] = None,
    campaign: Annotated[Number, typer.Option(help="Final run's share of billed hours.")] = None,
    precision: Annotated[str, typer.Option(help="bf16 or fp8.")] = "bf16",
    price_kind: Kind = "",
    provider: Annotated[str, typer.Option(help="Whose price.")] = "",
    usd_per_hour: UsdPerHour = None,
    discount: Annotated[float, typer.Option(help="Negotiated, in [0, 1).")] = 0.0,
    overhead: Annotated[float, typer.Option(help="Storage, network, idle: share of rent.")] = 0.0,
    headcount: Annotated[Number, typer.Option(help="People.")] = None,
    salary_usd: Annotated[Number, typer.Option(help="Loaded, per person and year.")] = None,
    staff_years: Annotated[Number, typer.Option(help="For how long.")] = None,
    project_factor: Annotated[Number, typer.Option(help="Whole project over final run.")] = None,
    region: Region = "",
    site: Annotated[str, typer.Option(help="hyperscaler or other.")] = "hyperscaler",
    accounting: Annotated[str, typer.Option(help="location or market.")] = "location",
    marginal: Annotated[bool, typer.Option(help="Marginal instead of average intensity.")] = False,
    g_per_kwh: Annotated[Number, typer.Option(help="Carbon intensity.")] = None,
    pue: Annotated[Number, typer.Option(help="Total over IT energy.")] = None,
    power_w: Power = None,
    prompt_tokens: Annotated[Text, typer.Option(help="Read over the model's life.")] = None,
    output_tokens: Annotated[Text, typer.Option(help="Written over the model's life.")] = None,
    overlay: Overlay = None,
    today: Today = None,
    compare: Annotated[bool, typer.Option(help="Llama 3 405B: lecture, Meta, ours.")] = False,
    published: Annotated[bool, typer.Option(help="Disclosed runs against prediction.")] = False,
    explain: Explain = False,
    as_json: Json = False,
) -> None:
    """Time, money, energy, CO2, memory and thresholds of a training run.

    Example: isoflop estimate --params 405e9 --tokens 15.6e12 --devices 16000 --preset cs229
    """
    from fitting.costs.tables import load_tables
    from sweeper.cli.estimate_view import print_estimate, show_comparison

    given = {
        "preset": preset, "device": device, "n_devices": devices, "measured_mfu": mfu,
        "measured_flop_s": flop_s, "utilisation": utilisation, "goodput": goodput,
        "campaign": campaign, "precision": precision, "price_kind": price_kind,
        "provider": provider, "usd_per_device_h": usd_per_hour, "discount": discount,
        "overhead_share": overhead, "headcount": headcount, "salary_usd": salary_usd,
        "staff_years": staff_years, "project_factor": project_factor, "region": region,
        "site": site, "accounting": accounting, "marginal": marginal, "g_per_kwh": g_per_kwh,
        "pue": pue, "power_w": power_w, "today": today and today.date(),
    }  # fmt: skip
    tables = load_tables(overlay)
    if compare or published:
        show_comparison(tables, as_json=as_json, published=published)
        return
    work = {"n_params": params, "n_tokens": tokens, "flops": flops, "device_hours": device_hours}
    found = _price(work, model, budget, tables, given)
    served = _served(found, prompt_tokens, output_tokens)
    print_estimate(found, served, explain=explain, as_json=as_json)


def budget(
    *,
    question: Annotated[str, typer.Argument(help="Such as '30 days on 10,000 h100' or '$75M'.")],
    law: Annotated[Text, typer.Option(help="A published law; with --fit the law to fit.")] = None,
    fit: Annotated[Path | None, typer.Option(help="runs.csv: fit a law to it instead.")] = None,
    sweep_share: Annotated[Text, typer.Option(help="Of the compute, or computed; 3 of 30.")] = None,
    inference_tokens: Annotated[Text, typer.Option(help="To be served, in the budget.")] = None,
    unique_tokens: Annotated[Text, typer.Option(help="What the corpus holds.")] = None,
    device: Device = "",
    preset: Preset = "measured",
    mfu: Mfu = None,
    flop_s: FlopS = None,
    utilisation: Utilisation = "family",
    price_kind: Kind = "",
    usd_per_hour: UsdPerHour = None,
    region: Region = "",
    power_w: Power = None,
    overlay: Overlay = None,
    today: Today = None,
    plot: Annotated[Path | None, typer.Option(help="Cost against loss, as .svg or .png.")] = None,
    explain: Explain = False,
    as_json: Json = False,
) -> None:
    """What to train on a budget: sweep, sizes to try, N*, D*, loss, dollars, CO2, thresholds."""
    from fitting.costs.question import ask
    from fitting.costs.tables import load_tables
    from fitting.costs.units import parse_count
    from sweeper.cli.estimate_view import print_answer

    tables = load_tables(overlay)
    chosen = _law(law, fit, tables)
    answer = ask(
        question,
        chosen,
        sweep_share=_share(sweep_share),
        inference_tokens=parse_count(inference_tokens, field="inference_tokens")
        if inference_tokens
        else 0.0,
        unique_tokens=parse_count(unique_tokens, field="unique_tokens") if unique_tokens else None,
        tables=tables,
        device=device, preset=preset, measured_mfu=mfu, measured_flop_s=flop_s,
        utilisation=utilisation, price_kind=price_kind, usd_per_device_h=usd_per_hour,
        region=region, power_w=power_w, today=today and today.date(),
    )  # fmt: skip
    if plot is not None:
        _draw(plot, chosen, answer)
    print_answer(answer, explain=explain, as_json=as_json)


def _share(text: str | None) -> Any:
    """A number, "computed", or None for the lecture's rule."""
    from fitting.costs.units import parse_count

    known = text is None or text == "computed"
    return text if known else parse_count(str(text), field="sweep_share")


def _draw(path: Path, law: "Law", answer: "Answer") -> None:
    """Cost against loss around the budget, the final run marked."""
    from fitting.errors import InputError
    from reports.cost_loss import curves_at
    from reports.cost_loss import plot as draw
    from reports.render import figure_of, to_bytes

    form = path.suffix.removeprefix(".")
    if form not in ("svg", "png"):
        raise InputError(f"plot must end in .svg or .png; got {path.name!r}", field="plot")
    final = answer.final["flops"].value
    marks = {answer.budget.budget.text: final}
    drawn = curves_at(answer.budget.rates, law, flops=(final / 1e4, final * 1e2), marks=marks)
    path.write_bytes(to_bytes(figure_of(draw(drawn)), "svg" if form == "svg" else "png"))


def _law(law: str | None, runs: Path | None, tables: "Tables") -> "Law":
    if runs is None:
        from fitting.costs.published import published_law

        return published_law(law or "chinchilla-epoch", tables)
    from fitting.costs.fitted import FittedLaw
    from fitting.fit import fit
    from fitting.measurements import Measurements

    m = Measurements.from_csv(runs)
    return FittedLaw(fit=fit(m, law=law or "chinchilla", n_bootstrap=200), measurements=m)


def _price(
    work: dict[str, str | None],
    model: str | None,
    budget: str | None,
    tables: "Tables",
    given: dict[str, Any],
) -> "Estimate":
    from fitting.costs.budget import parse_budget
    from fitting.costs.estimate import estimate
    from fitting.costs.units import parse_count
    from fitting.errors import InputError

    counts: dict[str, Any] = {k: parse_count(v, field=k) for k, v in work.items() if v is not None}
    if budget is not None:
        if counts or model:
            raise InputError("give a budget, or what to train; not both", field="budget")
        return parse_budget(budget, tables=tables).to_flops(tables=tables, **given).estimate()
    if model is not None:
        row = tables.model(model)
        counts = {"n_params": row.stated_params, "n_tokens": row.n_tokens} | counts
        counts["architecture"] = row.architecture
    return estimate(tables=tables, **counts, **given)


def _served(e: "Estimate", prompt: str | None, output: str | None) -> dict[str, Any]:
    from fitting.costs.inference import lifetime
    from fitting.costs.units import parse_count
    from fitting.errors import InputError

    counts = {"prompt_tokens": prompt, "output_tokens": output}
    found: dict[str, Any] = {k: parse_count(v, field=k) for k, v in counts.items() if v is not None}
    if not found:
        return {}
    if e.n_params is None:
        raise InputError("serving needs n_params; flops alone do not tell it", field="n_params")
    return lifetime(e.rates, n_params=e.n_params, **found).figures
