"""Fits, recommendations and predictions as tables for people."""

from typing import TYPE_CHECKING, Any

from rich.table import Table

from sweeper.cli.common import OUT

if TYPE_CHECKING:
    from fitting.measurements import Measurements

Json = dict[str, Any]


def digits(value: float, error: float | None = None) -> str:
    """A number with as many digits as its standard error deserves (two of the error)."""
    if not error or not value:
        return f"{value:.4g}"
    from math import floor, log10

    n = max(3, floor(log10(abs(value))) - floor(log10(error)) + 2)
    return f"{value:.{min(n, 8)}g}"


def count(value: float) -> str:
    """73.2B, 1.31T, 123k."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def grid(title: str, *columns: str) -> Table:
    """First column left, the others right."""
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    return table


def show_fit(fit: Json, m: "Measurements") -> None:
    """Coefficients with errors and intervals, the search, and the same under other objectives."""
    huber = f", delta {fit['delta']:.3g}" if fit["objective"] == "huber" else ""
    table = grid(
        f"{fit['law']} law, {fit['objective']}{huber}: {fit['n_measurements']} measurements "
        f"({fit['loss_unit']}), errors from {fit['sample_origin']}",
        "", "value", "std. error", "90 % interval",
    )  # fmt: skip
    for name, value in {**fit["coefficients"], **fit["exponents"]}.items():
        error, (low, high) = fit["standard_errors"][name], fit["intervals"][name]
        table.add_row(name, digits(value, error), f"{error:.2g}",
                      f"{digits(low, error)} … {digits(high, error)}")  # fmt: skip
    OUT.print(table)
    d = fit["diagnostics"]
    OUT.print(
        f"objective {fit['objective_value']:.11g} · {d['n_starts_agreeing']} of {d['n_starts']} "
        f"starts agree · relative gradient {d['gradient_norm']:.1e} · residual scatter "
        f"{100 * fit['residual_sd']:.2g} %",
        highlight=False,
    )
    _show_objectives(fit, m)
    show_warnings(fit["warnings"])


def _show_objectives(fit: Json, m: "Measurements") -> None:
    """Side by side, because a number without the name of its objective means nothing."""
    from fitting.objectives import NAMES
    from fitting.sensitivity import by_objective

    found = by_objective(m, law=fit["law"], allow_undecayed=True)
    table = grid("the same points under other objectives", "", *fit["coefficients"], "a")
    for name in NAMES:
        if name in found:
            c = found[name]
            table.add_row(name, *(f"{v:.4g}" for v in c.coefficients.values()), f"{c.exponents.get('a', float('nan')):.3f}")  # fmt: skip
    OUT.print(table)


def show_analysis(a: Json, _m: "Measurements") -> None:
    """One line per approach, and which one is trusted."""
    table = grid("N* ~ C^a by every approach", "approach", "a", "90 %", "rollout", "weight")
    for name, x in a["approaches"].items():
        low, high = x["interval_a"]
        error = f"{100 * x['rollout']['rms']:.2g} %" if x["rollout"] else "none"
        weight = a["weights"].get(name, 0)
        table.add_row(x["title"], f"{x['a']:.3f}", f"{low:.3f} … {high:.3f}", error,
                      f"{100 * weight:.0f} %" if weight else "–")  # fmt: skip
    OUT.print(table)
    OUT.print(a["why"], highlight=False)
    show_warnings(a["warnings"])


def show_recommendation(r: Json) -> None:
    """What to train, what it will reach, what it costs."""
    table = grid(f"{r['flops']:.4g} FLOP by {r['method']}: {r['verdict']}", "", "value", "90 % interval")  # fmt: skip
    for title, name in (("N* parameters", "n_params"), ("D* tokens", "n_tokens")):
        low, high = r["intervals"][name]
        table.add_row(title, count(r[name]), f"{count(low)} … {count(high)}")
    loss, flat = r["loss"], r["flat_band"]["n_params"]
    table.add_row("D/N", f"{r['tokens_per_param']:.3g}", "")
    table.add_row("loss", f"{loss['value']:.4f}", f"{loss['low']:.4f} … {loss['high']:.4f}")
    table.add_row("N within +2 % compute", "", f"{count(flat[0])} … {count(flat[1])}" if flat else "unknown")  # fmt: skip
    cost = r["cost"]
    for title, name in (("device-hours", "device_hours"), ("USD", "usd"), ("kWh", "energy_kwh"),
                        ("t CO2e", "tco2e")):  # fmt: skip
        if figure := cost.get(name):
            table.add_row(f"{title} ({cost['device']})", f"{figure['value']:.3g}",
                          f"{figure['low']:.3g} … {figure['high']:.3g}")  # fmt: skip
    OUT.print(table)
    _show_surroundings(r)
    show_warnings(r["warnings"])


def _show_surroundings(r: Json) -> None:
    """Regret, sensitivity and next runs, a line each; a service's answer may lack them."""
    if r.get("regret"):
        cells = [f"{count(x['n_params'])} +{100 * x['extra_compute']:.0f} %" for x in r["regret"]]
        OUT.print(
            "compute that other sizes need for the same loss: " + ", ".join(cells), highlight=False
        )
    if r.get("sensitivity"):
        cells = [f"{name} {count(n)}" for name, n in r["sensitivity"].items()]
        OUT.print("N* under other objectives: " + ", ".join(cells), highlight=False)
    if runs := r.get("next_runs"):
        total = sum(run["flops"] for run in runs)
        first = f"{count(runs[0]['n_params'])} on {count(runs[0]['n_tokens'])} tokens"
        OUT.print(f"{len(runs)} more runs ({total:.2g} FLOP; first {first}) would halve the interval "
                  "of N*; isoflop design lists them", highlight=False)  # fmt: skip


def show_prediction(p: Json) -> None:
    """One line, and what limits it."""
    loss = p["loss"]
    OUT.print(
        f"{count(p['n_params'])} parameters on {count(p['n_tokens'])} tokens ({p['flops']:.3g} FLOP): "
        f"loss {loss['value']:.4f} {p['loss_unit']}, 90 % {loss['low']:.4f} … {loss['high']:.4f} "
        f"({p['verdict']})",
        highlight=False,
    )
    show_warnings(p["warnings"])


def show_warnings(notes: list[dict[str, str]]) -> None:
    for note in notes:
        OUT.print(f"note: {note['message']}", style="yellow", highlight=False, markup=False)
