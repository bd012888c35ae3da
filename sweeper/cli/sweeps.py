"""`isoflop plan` and `isoflop sweep …`: ask, price, follow and steer, through REST.

`plan` needs no service: without one it plans here, with the same code.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fitting.errors import InputError
from sweeper.cli.common import OUT, print_json

if TYPE_CHECKING:
    from sweeper.client import Client

SpecFile = Annotated[Path, typer.Argument(help="A sweep in YAML or JSON.")]
OptionalSpecFile = Annotated[Path | None, typer.Argument(help="A sweep in YAML or JSON.")]
SweepId = Annotated[int, typer.Argument(min=1, help="Id of the sweep.")]
Url = Annotated[str | None, typer.Option(help="The service [env: ISOFLOP_URL; else the home's]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print strict JSON.")]
VERBS = {
    "pause": "Running runs checkpoint and wait; nothing new starts.",
    "resume": "Go on after a pause.",
    "stop": "Running runs finish, nothing new starts; the sweep ends with what it has.",
    "cancel": "End at once, for good.",
    "retry": "Queue again what failed.",
}


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    from sweeper.cli import records

    sweep = typer.Typer(no_args_is_help=True, help="Ask for runs, follow and steer them.")
    sweep.command()(submit)
    sweep.command("list")(list_sweeps)
    sweep.command()(show)
    sweep.command()(watch)
    for verb, says in VERBS.items():
        sweep.command(verb, help=says)(_control(verb))
    app.command()(plan)
    app.add_typer(sweep, name="sweep")
    records.register(app)


def connect(url: str | None) -> "Client":
    """A client of the service that `url`, the environment or the home names."""
    from sweeper.client import Client

    return Client(url)


def plan(
    file: OptionalSpecFile = None,
    *,
    design: Annotated[
        Path | None, typer.Option(help="CSV of runs measured already: which should come next?")
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="With --design: budget to be asked about [FLOP].")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Runs, FLOPs, hours, money and CO2 of a sweep, before anything starts.

    With --design, `isoflop design` instead: what the runs so far tell, and the cheapest next ones.
    """
    from sweeper.cli.design import design as show_design
    from sweeper.cli.sweep_view import show_plan

    if design is not None and target is not None:
        show_design(design, target=target, total=None, scatter=None, as_json=as_json)
        return
    if file is None or design is not None or target is not None:
        raise InputError(
            "plan wants a sweep's FILE, or --design RUNS.csv together with --target FLOP",
            field="file" if file is None and design is None else "target",
        )
    made = _plan(read_spec(file), url)
    print_json(made) if as_json else show_plan(made)


def submit(
    file: SpecFile,
    *,
    key: Annotated[
        str | None, typer.Option(help="Idempotency-Key: the same again is not a second sweep.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Queue a sweep."""
    with connect(url) as client:
        made = client.submit(read_spec(file), key=key)
        if as_json:
            print_json(made)
            return
        n_known = made["progress"]["n_over"]
        known = f", {n_known} of them trained before" if n_known else ""
        OUT.print(f"sweep {made['id']}: {made['progress']['n_runs']} runs{known}; {client.url}/sweeps/{made['id']}", soft_wrap=True)  # fmt: skip


def list_sweeps(
    *,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """All sweeps, newest first."""
    from sweeper.cli.sweep_view import show_sweeps

    with connect(url) as client:
        found = list(client.sweeps(state=state))
    print_json({"items": found}) if as_json else show_sweeps(found)


def show(sweep_id: SweepId, *, url: Url = None, as_json: AsJson = False) -> None:
    """One sweep and its runs."""
    from sweeper.cli.sweep_view import show_sweep

    with connect(url) as client:
        found, runs = client.sweep(sweep_id), list(client.runs(sweep_id))
    print_json(found | {"runs": runs}) if as_json else show_sweep(found, runs)


def watch(sweep_id: SweepId, *, url: Url = None, as_json: AsJson = False) -> None:
    """Follow a sweep to its end. Exit code 1 if it failed or was cancelled."""
    from sweeper.cli.sweep_view import follow

    with connect(url) as client:
        found = follow(client, sweep_id)
    if as_json:
        print_json(found)
    if found["state"] != "finished":
        raise typer.Exit(1)


def _control(verb: str) -> Any:
    def command(sweep_id: SweepId, *, url: Url = None, as_json: AsJson = False) -> None:
        with connect(url) as client:
            found = client.control(sweep_id, verb)
        print_json(found) if as_json else OUT.print(f"sweep {sweep_id} is {found['state']}")

    return command


def read_spec(file: Path) -> dict[str, Any]:
    """The spec as plain JSON values.

    Raises:
        InputError: no such file, neither YAML nor JSON, or a value that JSON has not.
    """
    import json

    import yaml

    from fitting.errors import InputError

    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as e:
        raise InputError(f"cannot read {file}: {e.strerror}", field="file") from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise InputError(f"{file} is neither YAML nor JSON: {e}", field="file") from e
    if not isinstance(value, dict):
        raise InputError(f"{file} must hold an object such as `name: …`", field="file")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as e:
        raise InputError(
            f"{file} must hold what JSON can say: {e} (put quotes around dates)", field="file"
        ) from e
    return value


def _plan(spec: dict[str, Any], url: str | None) -> dict[str, Any]:
    import os

    from sweeper.errors import NoServiceError

    try:
        with connect(url) as client:
            return client.plan(spec)
    except NoServiceError:
        if url or os.environ.get("ISOFLOP_URL"):  # that one was asked for
            raise
    from store.settings import load_settings
    from sweeper.spec import parse
    from sweeper.submit import plan_for

    asked = parse(spec)
    if asked.extends is not None:
        raise InputError(f"extends {asked.extends} needs the service that has this sweep (isoflop up)", field="extends")  # fmt: skip
    return plan_for(load_settings(), asked).to_dict()
