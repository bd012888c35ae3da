"""`isoflop up`, `down`, `serve`, `work` and `migrate`: the service and its halves."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from store.settings import Settings

_T = TypeVar("_T")
Home = Annotated[
    Path | None, typer.Option(help="Folder of runs, corpora and database [env: ISOFLOP_HOME]")
]
Executor = Annotated[str, typer.Option(help="ray, or process (local processes)")]
Cpus = Annotated[int | None, typer.Option(min=1, help="Cores to use; default: all")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (up, down, serve, work, migrate):
        app.command()(command)


def up(
    home: Home = None,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port")] = 8000,
    executor: Executor = "ray",
    cpus: Cpus = None,
) -> None:
    """API and dispatcher of this machine, supervised. Ctrl-C stops both; `up` goes on later."""
    from store.migrate import revision
    from store.settings import load_settings
    from sweeper.supervisor import Up
    from sweeper.supervisor import up as bring_up

    _check_executor(executor)
    settings = load_settings(home)
    settings.home.mkdir(parents=True, exist_ok=True)
    _on_database(settings, revision)
    bring_up(settings, Up(host=host, port=port, executor=executor, n_cpus=cpus))


def down(home: Home = None) -> None:
    """Stop the service that `isoflop up` started for this home."""
    from store.settings import load_settings
    from sweeper.cli.common import OUT
    from sweeper.supervisor import down as bring_down

    settings = load_settings(home)
    stopped = bring_down(settings)
    OUT.print("stopped" if stopped else f"no service of {settings.home} is up", markup=False)


def serve(
    home: Home = None,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """The web half: REST and pages. Needs the database, never Ray."""
    import os
    import socket

    import uvicorn

    from store.migrate import check
    from store.settings import load_settings
    from sweeper.orphan import end_with_parent
    from sweeper.supervisor import EVERYWHERE

    settings = load_settings(home)
    _on_database(settings, check)
    os.environ["ISOFLOP_HOME"] = str(settings.home)
    if host not in EVERYWHERE:  # who listens on an address is reached by it
        os.environ["ISOFLOP_HOSTS"] = f"{os.environ.get('ISOFLOP_HOSTS', '')},{host}"
    config = uvicorn.Config(
        "api.main:create_app_from_settings",
        factory=True,
        host=host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=5,
    )
    end_with_parent()
    listening = None if fd is None else [socket.socket(fileno=fd)]
    uvicorn.Server(config).run(sockets=listening)


def work(
    *,
    home: Home = None,
    executor: Executor = "ray",
    ray_address: Annotated[
        str, typer.Option(help="An existing cluster; default: one of this home's own")
    ] = "",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Accept a cluster without token authentication")
    ] = False,
    cpus: Cpus = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="On SIGTERM have workers checkpoint and end")
    ] = False,
    checkpoint_s: Annotated[float, typer.Option(min=0.1, help="Seconds between checkpoints")] = 15,
) -> None:
    """The dispatcher: the only process that drives workers and writes results."""
    from store.migrate import revision
    from store.settings import load_settings
    from sweeper.work import Work
    from sweeper.work import work as go

    _check_executor(executor)
    how = Work(
        executor="ray" if executor == "ray" else "process",
        ray_address=ray_address,
        insecure=insecure,
        n_cpus=cpus,
        drain=drain,
        checkpoint_s=checkpoint_s,
    )
    settings = load_settings(home)
    _on_database(settings, revision)
    go(settings, how)


def migrate(home: Home = None) -> None:
    """Bring the database to this program's schema."""
    from store.migrate import upgrade
    from store.settings import load_settings
    from sweeper.cli.common import OUT

    settings = load_settings(home)
    settings.home.mkdir(parents=True, exist_ok=True)
    OUT.print(f"schema {_on_database(settings, upgrade)}", markup=False)


def _on_database(settings: "Settings", step: "Callable[[Engine], _T]") -> _T:
    """What `step` finds.

    Raises:
        InputError: the database cannot be reached.
        SchemaError: it has not this program's schema.
    """
    from sqlalchemy.exc import OperationalError

    from fitting.errors import InputError
    from store.engine import make_engine

    engine = make_engine(settings.url)
    try:
        return step(engine)
    except OperationalError as e:
        where = engine.url.render_as_string(hide_password=True)
        raise InputError(
            f"the database {where} cannot be opened: {e.orig} (is its server there? a new home is "
            "made by `isoflop migrate`)",
            field="database_url",
        ) from e
    finally:
        engine.dispose()


def _check_executor(name: str) -> None:
    from fitting.errors import InputError

    if name not in ("ray", "process"):
        raise InputError(f"executor must be ray or process; got {name!r}", field="executor")
