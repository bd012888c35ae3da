"""`isoflop report`: one self-contained HTML file, of a sweep, a study or a CSV."""

from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.common import OUT, refuse_given
from sweeper.cli.sweeps import Url, connect


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(report)


def report(
    context: typer.Context,
    csv: Annotated[Path | None, typer.Argument(help="Measurements; needs no service.")] = None,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file.")],
    sweep: Annotated[int | None, typer.Option(help="Id of a sweep.")] = None,
    study: Annotated[str | None, typer.Option(help="Id or name of a study.")] = None,
    budget: Annotated[
        list[str] | None, typer.Option(help="With a CSV: answer for it; may be repeated.")
    ] = None,
    bootstrap: Annotated[int, typer.Option(help="With a CSV: resamples.")] = 1000,
    seed: Annotated[int, typer.Option(help="With a CSV: of the resamples.")] = 0,
    url: Url = None,
) -> None:
    """Figures, tables, costs with their formulas, and forecasts against outcomes."""
    from fitting.errors import InputError

    given = [name for name, v in (("csv", csv), ("--sweep", sweep), ("--study", study)) if v]
    if len(given) != 1:
        raise InputError(f"give one of a CSV, --sweep and --study; got {given}", field="csv")
    if csv is not None:
        from sweeper.cli.csv_report import csv_report

        text = csv_report(csv, budgets=budget or [], n_bootstrap=bootstrap, seed=seed)
    else:
        refuse_given(
            context, "budget", "bootstrap", "seed",
            because="needs a CSV file: a report of the service holds what was asked there",
        )  # fmt: skip
        with connect(url) as client:
            text = client.report(sweep_id=sweep, study_id=study)
    output.write_text(text, encoding="utf-8")
    OUT.print(f"{output} ({len(text) / 1e6:.1f} MB)", highlight=False, soft_wrap=True)
