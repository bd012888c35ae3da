"""`isoflop tune`: learning rate and batch size by search on a small model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.common import ERR, OUT, print_json

if TYPE_CHECKING:
    from sweeper.tune import Trial

LRS, BATCHES = "0.00125,0.0025,0.005,0.01,0.02", "512,1024,2048"


def register(app: typer.Typer) -> None:
    """Add `tune`."""
    app.command()(tune)


def tune(  # noqa: PLR0917  the options of a command are its parameters
    data: Annotated[Path, typer.Option(help="A prepared corpus.")],
    params: Annotated[float, typer.Option(help="Size of the model [params].")] = 2e4,
    tokens: Annotated[float, typer.Option(help="Of the longest trials.")] = 1e6,
    context: Annotated[int, typer.Option(help="Tokens.")] = 128,
    lrs: Annotated[str, typer.Option(help="Base rates, comma-separated.")] = LRS,
    batches: Annotated[str, typer.Option(help="Batches in tokens, comma-separated.")] = BATCHES,
    rungs: Annotated[int, typer.Option(help="Evaluations; half is stopped at each.")] = 3,
    concurrent: Annotated[int, typer.Option(help="Trials at once.")] = 1,
    seed: Annotated[int, typer.Option(help="Of every trial.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: a GPU if Ray has one.")] = "auto",
    csv: Annotated[
        Path | None,
        typer.Option(help="Add every rung to this file, which `isoflop law hyper` reads."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Search the base learning rate and the batch on a small model, by successive halving."""
    import logging
    import tempfile

    import ray

    from sweeper.executor import environment
    from sweeper.ray_worker import runtime_env
    from sweeper.tune import furthest, search
    from trainer.config import DataSpec, RunSpec
    from trainer.data.manifest import Manifest
    from trainer.ladder import architecture_for
    from trainer.recipe import recipe, whole_steps

    manifest = Manifest.load(data)
    model = architecture_for(params, vocab_size=manifest.vocab_size, context=context)
    optimizer, schedule, batch = recipe(model, round(tokens))
    spec = RunSpec(
        model=model,
        data=DataSpec(fingerprint=manifest.fingerprint),
        horizons=(whole_steps(tokens, batch),),
        batch_tokens=batch,
        optimizer=optimizer,
        schedule=schedule,
        seed=seed,
    )
    with (
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
            runtime_env=runtime_env(environment(n_threads=1)),
        ),
        tempfile.TemporaryDirectory(prefix="isoflop-tune-") as storage,
    ):
        trials = search(
            spec,
            data,
            lrs=[_number(x, "lrs") for x in lrs.split(",")],
            batch_tokens=[round(_number(x, "batches")) for x in batches.split(",")],
            n_rungs=rungs,
            storage=Path(storage),
            n_concurrent=concurrent,
            device=device,
        )
    if csv:
        _add_to(csv, trials)
    if json:
        print_json([t.to_dict() for t in furthest(trials)])
        return
    for t in furthest(trials):
        loss = "no finite loss" if t.loss is None else f"{t.loss:.4f} nats/token"
        OUT.print(f"lr {t.lr:<8g} batch {t.batch_tokens:>6}  {loss} after {t.n_tokens:,} tokens")


def _add_to(file: Path, trials: "Sequence[Trial]") -> None:
    """Rows with a loss; the others are told."""
    import csv

    rows = [t.to_dict() for t in trials if t.loss is not None]
    new = not file.exists()
    with file.open("a", newline="") as f:
        writer = csv.DictWriter(f, fieldnames=list(trials[0].to_dict()))
        if new:
            writer.writeheader()
        writer.writerows(rows)
    ERR.print(f"{file}: {len(rows)} rows added, {len(trials) - len(rows)} without a loss left out")


def _number(text: str, field: str) -> float:
    from fitting.errors import InputError

    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise InputError(f"{field} must be positive numbers; got {text!r}", field=field)
    return value
