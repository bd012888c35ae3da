"""`isoflop compare a.csv b.csv`: two recipes at equal compute, as a table and as a figure."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sweeper.cli.common import OUT, print_json

Json = Annotated[bool, typer.Option("--json", help="Print strict JSON.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(compare)


def compare(
    a: Annotated[Path, typer.Argument(help="Measurements of recipe a.")],
    b: Annotated[Path, typer.Argument(help="Measurements of recipe b.")],
    *,
    law: Annotated[str, typer.Option(help="Fitted to both.")] = "chinchilla",
    flops: Annotated[float | None, typer.Option(help="Where; default: the most both have.")] = None,
    bootstrap: Annotated[int, typer.Option(help="Resamples of each.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Draw both: file.svg, .png or .pdf")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Two recipes at equal compute: slopes, offsets, crossing, and the compute one saves."""
    from fitting.compare import compare as run
    from sweeper.cli.laws import load
    from sweeper.cli.plotting import check_form, save

    if output is not None:
        check_form(output)
    names = (a.stem, b.stem) if a.stem != b.stem else (str(a), str(b))
    one, two = (load(path, keep_outliers=False) for path in (a, b))
    found = run(one, two, law=law, flops=flops, n_bootstrap=bootstrap, seed=seed)
    if output is not None:
        from reports import comparison
        from reports.render import figure_of

        drawn = comparison.curves(found, one, two, names)
        save(figure_of(comparison.plot(drawn, unit=one.loss_unit)), output)
    if as_json:
        print_json(found.to_dict())
        return
    _show(found.to_dict(), *names)


def _show(found: dict[str, Any], a: str, b: str) -> None:
    from sweeper.cli.tables import grid, show_warnings

    table = grid(f"a = {a}, b = {b}, at {found['at_flops']:.3g} FLOP", "", "value", "90 % interval")
    rows = (
        ("loss of a", "loss_a"), ("loss of b", "loss_b"), ("loss of b over a", "loss_ratio"),
        ("slope d ln L/d ln C of a", "slope_a"), ("slope of b", "slope_b"),
        ("compute of b for a's loss, over a's", "compute_ratio"),
        ("compute where they cross", "crossing_flops"),
    )  # fmt: skip
    for title, name in rows:
        value = found[name]
        if value is None:
            table.add_row(title, "none", f"in {100 * found['crossing_share']:.0f} % of resamples")
            continue
        shown = ["never" if v is None else f"{v:.4g}" for v in value.values()]
        table.add_row(title, shown[0], f"{shown[1]} … {shown[2]}")
    OUT.print(table)
    OUT.print(found["verdict"], highlight=False)
    show_warnings(found["warnings"])
