"""What the demo prints. It only reads the service's answers; it computes nothing of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Json = Mapping[str, Any]
CONSOLE = Console(highlight=False)
COSTS = {"device_hours": "h", "usd_total": "USD", "energy_kwh": "kWh", "tco2e": "t CO2e"}


def heading(number: int, text: str) -> None:
    CONSOLE.print(f"\n[bold cyan]{number}. {text}[/]")


def line(text: str) -> None:
    CONSOLE.print(f"   {text}")


def count(x: float) -> str:
    """12.3k, 4.56M, 1.4T: three digits and the field's suffix."""
    for limit, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(x) >= limit:
            return f"{x / limit:.3g}{suffix}"
    return f"{x:.3g}"


def seconds(s: float) -> str:
    """90 s, 12 min 5 s, 3 h 20 min."""
    minutes, rest = divmod(round(s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{s:.3g} s"


def table(*columns: str, title: str | None = None) -> Table:
    made = Table(title=title, title_justify="left", box=None, padding=(0, 1), header_style="bold")
    for i, name in enumerate(columns):
        made.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    return made


def corpus(manifest: Json, took_s: float) -> None:
    counts = manifest["n_tokens"]
    for name, train in counts["train"].items():
        line(f"{name}: {count(train)} training tokens, {count(counts['val'][name])} held out")
    line(
        f"tokenizer {manifest['tokenizer']}, {manifest['bytes_per_token']:.3g} bytes/token, "
        f"fingerprint {manifest['fingerprint'][:12]}, {seconds(took_s)}"
    )


def plan(price: Json, *, n_asked: int) -> None:
    """What the sweep costs; of `n_asked` points it leaves some out."""
    hours = price["figures"]["device_hours"]
    line(
        f"{price['n_runs']} runs give {price['n_points']} measurements: {price['flops']:.3g} FLOP, "
        f"{price['hours']:.2g} core-hours ({hours['low']:.2g} to {hours['high']:.2g}), "
        f"${price['usd']:.2g}, {price['energy_kwh']:.2g} kWh, {1e6 * price['tco2e']:.2g} g CO2e"
    )
    left_out = n_asked - price["n_points"]
    if left_out:
        line(f"{left_out} points too far from any optimum (tokens per parameter) are left out")


def measurements(points: Sequence[Json]) -> None:
    """Loss by size and budget; the best size of each budget stands out."""
    rows = [(p["n_params"], p["budget_flops"], p["loss"]) for p in points]
    budgets = sorted({b for _, b, _ in rows if b})
    best = {c: min(loss for _, b, loss in rows if b == c) for c in budgets}
    shown = table("N \\ C [FLOP]", *(f"{b:.3g}" for b in budgets))
    for n in sorted({n for n, _, _ in rows}):
        found = {b: loss for m, b, loss in rows if m == n}
        shown.add_row(count(n), *(_loss(found.get(b), best[b]) for b in budgets))
    CONSOLE.print(shown)


def _loss(loss: float | None, best: float) -> str:
    if loss is None:
        return ""
    return f"[bold green]{loss:.3f}[/]" if loss == best else f"{loss:.3f}"


def analysis(fit: Json) -> None:
    """All approaches side by side, what they said of budgets they had not seen, who is trusted."""
    shown = table("approach", "N* ~ C^a", "90 %", "error on unseen", "weight")
    for name, a in fit["approaches"].items():
        low, high = a["interval_a"]
        shown.add_row(
            a["title"].partition(" (")[0] + (" *" if name == fit["trusted"] else ""),
            f"{a['a']:.3f}",
            f"{low:.2f} … {high:.2f}",
            f"{100 * a['rollout']['rms']:.2f} %" if a["rollout"] else "",
            f"{fit['weights'].get(name, 0):.2f}",
        )
    CONSOLE.print(shown)
    line(f"* trusted: {fit['why']}")
    warnings(fit)


def recommendation(r: Json) -> None:
    shape = r["architecture"] or {}
    low, high = r["intervals"]["n_params"]
    flat = r["flat_band"]["n_params"]
    rows = table("", "value", "90 % interval")
    rows.add_row("N*  parameters", count(r["n_params"]), f"{count(low)} … {count(high)}")
    low, high = r["intervals"]["n_tokens"]
    rows.add_row("D*  tokens", count(r["n_tokens"]), f"{count(low)} … {count(high)}")
    rows.add_row(
        "predicted loss  nats/token",
        f"{r['loss']['value']:.4f}",
        f"{r['loss']['low']:.4f} … {r['loss']['high']:.4f}",
    )
    CONSOLE.print(rows)
    if flat:
        line(f"any N in {count(flat[0])} … {count(flat[1])} costs at most 2 % more compute")
    if shape:
        line(
            f"architecture: {shape['n_layer']} layers, width {shape['d_model']}, "
            f"{shape['n_head']} heads, MLP {shape['d_ff']}: N = {count(shape['n_params'])}"
        )
    line(f"verdict: {r['verdict']}")
    cost(r["cost"])
    warnings(r)


def cost(figures: Json) -> None:
    """FLOP, time, money, energy and CO2 with their bands."""
    rows = table("cost", "value", "low", "high")
    for name, unit in ({"flops": "FLOP"} | COSTS).items():
        if isinstance(f := figures.get(name), Mapping):
            rows.add_row(f"{name}  {unit}", *(f"{f[k]:.3g}" for k in ("value", "low", "high")))
    CONSOLE.print(rows)


def warnings(answer: Json) -> None:
    for w in answer.get("warnings", ()):
        line(f"[yellow]note:[/] {w['message']}")


def outcome(launch: Json) -> None:
    """Forecast and outcome side by side."""
    bet, came = launch["forecast"], launch["outcome"]
    if came is None or "loss" not in came:
        line(f"the final run ended without a loss: {(came or launch).get('reason', 'unknown')}")
        return
    rows = table("", "forecast", "90 % interval", "outcome", "off by")
    rows.add_row(*_compared("loss  nats/token", bet["loss"], came["loss"]))
    for name, unit in COSTS.items():
        if name in bet["cost"] and name in came.get("cost", {}):
            rows.add_row(*_compared(f"{name}  {unit}", bet["cost"][name], came["cost"][name]))
    CONSOLE.print(rows)
    inside = "inside" if came["inside"] else "OUTSIDE"
    line(f"the loss lies {inside} its interval, {100 * came['relative_error']:+.2f} % off")
    line(f"seal intact: {came['seal_intact']}; bits/byte {came['bits_per_byte']:.4f}")


def _compared(name: str, bet: Json, came: float) -> tuple[str, ...]:
    band = f"{bet['low']:.4g} … {bet['high']:.4g}"
    return (
        name,
        f"{bet['value']:.4g}",
        band,
        f"{came:.4g}",
        f"{100 * (came / bet['value'] - 1):+.1f} %",
    )


def farewell(files: Sequence[Path], folder: Path, took_s: float) -> None:
    for file in files:
        line(str(file))
    line(f"everything took {seconds(took_s)}")
    line(f"pages of this service again: isoflop up --home {folder}")
