"""Plans, sweeps and runs as tables and progress bars."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from reports import format as f
from sweeper.cli.common import ERR, OUT

if TYPE_CHECKING:
    from sweeper.client import Client

Json = dict[str, Any]
OVER = ("finished", "cancelled", "failed")
POLL_S = 1.0


def table(title: str, *heads: str) -> Table:
    """Heads that begin with # are numbers."""
    made = Table(title=title, title_justify="left")
    for head in heads:
        made.add_column(head.lstrip("#"), justify="right" if head[0] == "#" else "left")
    return made


def show_plan(plan: Json) -> None:
    """Runs, then what they cost, then what was left out."""
    runs = table("Runs", "#N", "#layers", "#width", "#tokens", "#D/N", "#FLOP", "#points")
    for r in plan["runs"]:
        runs.add_row(
            f.count(r["n_params"]),
            str(r["n_layer"]),
            str(r["d_model"]),
            f.count(r["n_tokens"]),
            f.coefficient(r["n_tokens"] / r["n_params"]),
            f.power(r["flops"]),
            str(len(r["points"])),
        )
    OUT.print(runs)
    OUT.print(_price(plan), highlight=False, soft_wrap=True)
    for note in plan["notes"]:
        OUT.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def _price(plan: Json) -> str:
    figures = (
        f"{plan['n_runs']} runs, {plan['n_points']} measurements",
        f"{f.power(plan['flops'])} FLOP",
        f"{f.device_hours(plan['hours'])} of {plan['device']}",
        f.usd(plan["usd"]),
        f.energy(plan["energy_kwh"]),
        f"{f.mass(plan['tco2e'])} CO2e",
    )
    return " · ".join(figures)


def show_sweeps(sweeps: Sequence[Json]) -> None:
    made = table("Sweeps", "#id", "name", "state", "#runs", "#FLOP done", "#of", "#price")
    for s in sweeps:
        p = s["progress"]
        made.add_row(
            str(s["id"]),
            s["name"],
            s["state"],
            f"{p['n_over']}/{p['n_runs']}",
            f.power(p["flops_done"]),
            f.power(p["flops"]),
            f.usd(s["price"]["usd"]),
        )
    OUT.print(made)


def show_sweep(sweep: Json, runs: Sequence[Json]) -> None:
    title = f"Sweep {sweep['id']} {sweep['name']}: {sweep['state']}"
    made = table(title, "#run", "state", "#N", "#tokens", "#done", "#loss", "reason")
    for r in runs:
        made.add_row(
            str(r["id"]),
            r["state"],
            f.count(r["n_params"]),
            f.count(r["n_tokens"]),
            f.percent(r["n_tokens_done"] / r["n_tokens"]),
            f.loss(r["last_loss"]),
            r["reason"] or "",
        )
    OUT.print(made)


def follow(client: "Client", sweep_id: int) -> Json:
    """A progress bar until the sweep is over; the sweep as it then is."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, TimeRemainingColumn(), console=ERR) as bar:
        task = bar.add_task(f"sweep {sweep_id}", total=None, said="")
        while True:
            sweep = client.sweep(sweep_id)
            p = sweep["progress"]
            said = f"{sweep['state']} · {p['n_over']}/{p['n_runs']} runs · {f.power(p['flops_done'])} FLOP"
            bar.update(task, total=p["flops"], completed=p["flops_done"], said=said)
            if sweep["state"] in OVER:
                return sweep
            time.sleep(POLL_S)
