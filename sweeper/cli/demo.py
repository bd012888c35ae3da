"""`isoflop demo`: the main job, end to end, on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.common import OUT, print_json


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(demo)


def demo(
    root: Annotated[Path, typer.Option(help="Folder that holds one folder per demo.")] = Path(
        "isoflop-demo"
    ),
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the newest demo.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the launch as JSON at the end.")
    ] = False,
) -> None:
    """Plan, sweep, fit, recommend, forecast, train and compare, on real text, in minutes."""
    import signal

    from sweeper.demo import home, show, story

    where = home.latest(root) if resume else home.new(root)
    if as_json:
        show.CONSOLE.stderr = True
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both stop the service in order
    try:
        launch = story.tell(where)
    except KeyboardInterrupt:
        OUT.print("\nstopped in order; `isoflop demo --resume` goes on from here")
        raise typer.Exit(130) from None
    if as_json:
        print_json(launch)
