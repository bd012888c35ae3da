"""`isoflop design`: what the runs so far tell, which to do next, and those as a sweep that extends
the one before."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fitting.errors import InputError, RefusalError
from sweeper.cli.common import OUT, print_json

Json = Annotated[bool, typer.Option("--json", help="Print strict JSON.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(design)


def design(
    csv: Annotated[Path | None, typer.Argument(help="What is measured already.")] = None,
    *,
    target: Annotated[float, typer.Option(help="Budget to be asked about [FLOP].")],
    total: Annotated[
        float | None, typer.Option(help="Sweep and final run together [FLOP].")
    ] = None,
    scatter: Annotated[float | None, typer.Option(help="Of ln L between equal runs.")] = None,
    sweep: Annotated[int | None, typer.Option(min=1, help="Instead of a CSV: a sweep of the service.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="With --sweep: write the next runs as a sweep that extends it (YAML).")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """What the runs so far tell about a target, the cheapest next runs, and the best split."""
    if (csv and sweep) or (out and not sweep):
        raise InputError("design wants a CSV file or --sweep, and --out goes with --sweep", field="sweep")  # fmt: skip
    asked = {"target": target, "total": total, "scatter": scatter}
    found = _design_sweep(sweep, asked, out) if sweep else _design_csv(csv, asked)
    if as_json:
        print_json(found)
        return
    _show_design(found)
    if out:
        n, n_written = len(found["next_runs"]), len(set(_points(found["next_runs"])))
        same = f" ({n - n_written} equal to another: one seed gives one point)" * (n > n_written)
        OUT.print(f"{out}: a sweep of {n_written} points{same} that extends sweep {sweep}", markup=False, highlight=False, soft_wrap=True)  # fmt: skip


def _design_csv(csv: Path | None, asked: dict[str, Any]) -> dict[str, Any]:
    from fitting.advice import advise
    from sweeper.cli.laws import load

    return advise(load(csv, keep_outliers=False) if csv else None, **asked)


def _design_sweep(sweep: int, asked: dict[str, Any], out: Path | None) -> dict[str, Any]:
    import yaml

    from sweeper.client import Client

    with Client() as client:
        given = {name: value for name, value in asked.items() if value is not None}
        found = client.design(sweep_id=sweep, **given)
        if out is None:
            return found
        if not found["next_runs"]:
            raise RefusalError("the design names no next run, so there is no sweep to write", code="no_next_runs")  # fmt: skip
        spec = next_sweep(found["next_runs"], client.sweep(sweep))
        client.plan(spec)  # what cannot be asked is not written
    out.write_text(yaml.safe_dump(spec, sort_keys=False))
    return found


def _points(runs: list[dict[str, float]]) -> list[tuple[int, int]]:
    return [(round(run["n_params"]), round(run["n_tokens"])) for run in runs]


def next_sweep(runs: list[dict[str, float]], before: dict[str, Any]) -> dict[str, Any]:
    """A sweep of these runs by the rule of the sweep before, extending it. Two equal runs are one."""
    tokens: dict[int, list[int]] = {}
    for n, d in sorted(set(_points(runs))):
        tokens.setdefault(n, []).append(d)
    spec = before["spec"]
    named = ("data", "family", "context", "precision", "device", "priced_as", "max_epochs")
    same = {name: spec[name] for name in named if spec.get(name) is not None}
    changed = {name: value for name, value in spec["recipe"].items() if value is not None}
    return {
        "name": f"{before['name']}-more"[:200], "extends": before["id"], **same,
        **({"recipe": changed} if changed else {}),
        "grid": [{"size": n, "tokens": d} for n, d in tokens.items()],
    }  # fmt: skip


def _show_design(found: dict[str, Any]) -> None:
    from sweeper.cli.tables import count, grid, show_warnings

    if now := found["now"]:
        OUT.print(
            f"at {found['target']:.3g} FLOP these runs tell N* within a factor "
            f"{now['interval_factor']:.3g} (90 %); condition number {now['condition']:.2g}",
            highlight=False,
        )
    if found["next_runs"]:
        title = f"cheapest runs that halve the interval: {found['next_flops']:.3g} FLOP in all"
        table = grid(title, "run", "N", "D", "FLOP", "factor after")
        for i, run in enumerate(found["next_runs"], 1):
            table.add_row(str(i), count(run["n_params"]), count(run["n_tokens"]),
                          f"{run['flops']:.3g}", f"{run['interval_factor']:.3g}")  # fmt: skip
        OUT.print(table)
    if split := found["split"]:
        low, high = split["flat"]
        OUT.print(
            f"of {found['total']:.3g} FLOP spend {100 * split['share']:.2g} % on the sweep (anything "
            f"from {100 * low:.2g} to {100 * high:.2g} % costs at most .1 % of loss): expected final "
            f"loss {split['loss']:.4f}",
            highlight=False,
        )
    show_warnings(found["warnings"])
