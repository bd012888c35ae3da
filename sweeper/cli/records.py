"""`isoflop import`, `export` and `launch`: measurements in and out, and the final run."""

from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.common import OUT, print_json
from sweeper.cli.sweeps import AsJson, Url, connect

Text = Annotated[str | None, typer.Option()]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("import")(import_study)
    app.command()(export)
    app.command()(launch)


def import_study(
    csv: Annotated[Path, typer.Argument(help="Columns n_params, n_tokens, loss, …")],
    *,
    study: Annotated[str, typer.Option(help="Name of the study.")],
    loss_unit: Annotated[str | None, typer.Option(help="Default nats/token.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="What the losses were counted in.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the runs come from.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Keep measurements from elsewhere under a name. Every row is checked; none is dropped."""
    from fitting.errors import InputError

    said = {"loss_unit": loss_unit, "tokenizer": tokenizer, "source": source or csv.name}
    try:
        content = csv.read_bytes()
    except OSError as e:
        raise InputError(f"cannot read {csv}: {e.strerror}", field="csv") from e
    with connect(url) as client:
        made = client.create_study(study, content, **{k: v for k, v in said.items() if v})
        if as_json:
            print_json(made)
            return
        OUT.print(f"study {made['id']} {made['name']}: {made['n_measurements']} measurements; {client.url}/studies/{made['id']}", soft_wrap=True)  # fmt: skip


def export(
    *,
    sweep: Annotated[int | None, typer.Option(help="Id of a sweep.")] = None,
    study: Annotated[str | None, typer.Option(help="Id or name of a study.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Default: print.")] = None,
    url: Url = None,
) -> None:
    """Measurements as a CSV that `isoflop import` and `isoflop fit` take."""
    with connect(url) as client:
        text = client.export(sweep_id=sweep, study_id=study)
    if output is None:
        typer.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    OUT.print(
        f"{text.count(chr(10)) - 1} measurements in {output}", highlight=False, soft_wrap=True
    )


def launch(
    *,
    recommendation: Annotated[int, typer.Option(help="Id of the recommendation.")],
    cpus: Annotated[int | None, typer.Option(min=1, help="Cores of the run; default: all.")] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="That train it together; default: one for each GPU, one on CPUs."),
    ] = None,
    max_epochs: Annotated[
        float | None, typer.Option(help="How often a token may repeat; default: the sweep's.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency-Key.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Seal the forecast and queue the final run; the same recommendation again changes nothing."""
    options = {"n_cpus": cpus, "n_processes": processes, "max_epochs": max_epochs}
    with connect(url) as client:
        made = client.launch(
            recommendation, key=key, **{k: v for k, v in options.items() if v is not None}
        )
        if as_json:
            print_json(made)
            return
        said = made["forecast"]["loss"]
        OUT.print(
            f"launch {made['id']}: run {made['run_id']} is {made['state']}; forecast loss "
            f"{said['value']:.4f}, 90 % {said['low']:.4f} … {said['high']:.4f}, sealed "
            f"{made['forecast_sha256'][:12]}; {client.url}/runs/{made['run_id']}",
            highlight=False,
            soft_wrap=True,
        )
