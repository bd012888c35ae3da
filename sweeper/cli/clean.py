"""`isoflop data clean`: web pages into text that `isoflop data prepare` reads."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sweeper.cli.common import ERR, OUT, print_json


def clean(  # noqa: PLR0917  the options of a command are its parameters
    inputs: Annotated[
        list[Path], typer.Option("--input", help="WARC file, or a folder with some; repeatable.")
    ],
    out: Annotated[Path, typer.Option(help="A new folder: JSON lines, gzip, and counts.json.")],
    languages: Annotated[str, typer.Option(help="Comma-separated codes to keep.")] = "en",
    good: Annotated[
        Path | None,
        typer.Option(
            help="Good texts (as --input of prepare): drop pages that resemble them least."
        ),
    ] = None,
    quality_share: Annotated[
        float | None, typer.Option(help="With --good: the share of pages that stays; default 0.5.")
    ] = None,
    domains: Annotated[
        Path | None,
        typer.Option(
            help="YAML, host suffix: domain, such as 'wikipedia.org: encyclopedia'; others are "
            "'web'. Replaces the built-in table (academic, blog, docs, encyclopedia, forum, "
            "government)."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes; one works on one file at a time.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Web pages (WARC) → text, language, heuristics, near duplicates, quality, personal data.

    Personal data: e-mail and public IPv4 addresses are replaced; names and telephone numbers stay.
    Needs the extra: pip install 'isoflop[web]'. A run that was stopped goes on where it was.
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from trainer.data.web.pipeline import clean as run

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with _ended_in_order(), Progress(*columns, console=ERR) as bar:
        task = bar.add_task("reading")
        counts = run(
            out,
            inputs,
            languages=tuple(c for c in languages.split(",") if c),
            good=good,
            quality_share=quality_share,
            hosts=domains,
            workers=workers,
            on_progress=lambda stage: bar.update(task, description=stage),
        )
    if json:
        print_json(counts.to_dict())
    else:
        _print(out, counts.to_dict())


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """On SIGTERM leave as on Ctrl-C: else datatrove's processes would stay behind."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print(out: Path, d: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(title=f"{out}: {d['n_in']:,} records in, {d['n_out']:,} documents out")
    for name in ("step", "in", "dropped", "out", "MB in", "MB out"):
        table.add_column(
            name, justify="left" if name == "step" else "right", no_wrap=name == "step"
        )
    for s in d["steps"]:
        sizes = (f"{s['bytes_in'] / 1e6:,.2f}", f"{s['bytes_out'] / 1e6:,.2f}")
        n_dropped = sum(s["dropped"].values())
        table.add_row(s["step"], f"{s['n_in']:,}", f"{n_dropped:,}", f"{s['n_out']:,}", *sizes)
        for reason, n in s["dropped"].items():
            table.add_row(f"  {reason}", "", f"{n:,}")
        if s["n_changed"]:
            table.add_row("  of these changed", "", "", f"{s['n_changed']:,}")
    table.add_row("all", f"{d['n_in']:,}", f"{d['n_dropped']:,}", f"{d['n_out']:,}")
    OUT.print(table)
    table = Table("domain", "documents", "MB")
    for name, domain in d["domains"].items():
        table.add_row(name, f"{domain['n']:,}", f"{domain['bytes'] / 1e6:,.2f}")
    OUT.print(table)
