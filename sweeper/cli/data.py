"""`isoflop data clean` (in clean.py), `isoflop data prepare`, `isoflop data show`: corpora."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sweeper.cli import clean, tuning
from sweeper.cli.common import OUT, print_json

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add `data` with its commands."""
    group = typer.Typer(no_args_is_help=True, help="Prepare and inspect corpora.")
    group.command()(clean.clean)
    group.command()(prepare)
    group.command()(show)
    app.add_typer(group, name="data")
    tuning.register(app)  # what comes before a sweep, as the corpus does


def prepare(  # noqa: PLR0917  the options of a command are its parameters
    out: Annotated[Path, typer.Option(help="The corpus's folder.")],
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", help="File or folder; default: the installed packages."),
    ] = None,
    tokenizer: Annotated[str, typer.Option(help="bytes or bpe.")] = "bytes",
    vocab_size: Annotated[int, typer.Option(help="Of the BPE.")] = 4096,
    max_bytes: Annotated[int | None, typer.Option(help="Stop at this much text.")] = None,
    domains: Annotated[
        str, typer.Option(help="Comma-separated: python,c-headers,docs; default all.")
    ] = "",
    val_share: Annotated[float, typer.Option(help="Held-out share of every domain.")] = 0.02,
    json: Json = False,
) -> None:
    """Build a corpus: deduplicate, split, tokenize, write shards and a manifest."""
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from sweeper.cli.common import ERR
    from trainer.data.prepare import prepare as build

    with Progress(SpinnerColumn(), TextColumn("{task.description}"), console=ERR) as bar:
        task = bar.add_task("reading")
        manifest = build(
            out,
            inputs,
            tokenizer=tokenizer,  # type: ignore[arg-type]
            vocab_size=vocab_size,
            max_bytes=max_bytes,
            domains=tuple(d for d in domains.split(",") if d),
            val_share=val_share,
            on_progress=lambda n: bar.update(task, description=f"{n / 1e6:.0f} MB of text"),
        )
    _print(out, manifest.to_dict(), json)


def show(
    folder: Annotated[Path, typer.Argument(help="A prepared corpus.")],
    verify: Annotated[bool, typer.Option(help="Check every shard against its hash.")] = False,
    json: Json = False,
) -> None:
    """Tokens, domains and fingerprint of a corpus."""
    from trainer.data.manifest import Manifest

    manifest = Manifest.load(folder)
    if verify:
        from trainer.data.shards import verify as check

        check(folder, manifest)
    _print(folder, manifest.to_dict(), json)


def _print(folder: Path, d: dict[str, Any], json: bool) -> None:
    if json:
        print_json(d)
        return
    from rich.table import Table

    table = Table(title=f"{folder}: {d['tokenizer']}, vocabulary {d['vocab_size']}")
    for name in ("domain", "train tokens", "held-out tokens"):
        table.add_column(name, justify="left" if name == "domain" else "right")
    train, val = d["n_tokens"]["train"], d["n_tokens"]["val"]
    for domain in train:
        table.add_row(domain, f"{train[domain]:,}", f"{val[domain]:,}")
    table.add_row("all", f"{sum(train.values()):,}", f"{sum(val.values()):,}")
    OUT.print(table)
    OUT.print(f"bytes per token {d['bytes_per_token']:.3f}")
    OUT.print(f"fingerprint {d['fingerprint']}")
    if d["held_out"]:
        OUT.print(f"held out: {', '.join(d['held_out'])}")
    for reason, n in sorted(d["dropped"].items()):
        OUT.print(f"left out, {reason}: {n:,} documents")
