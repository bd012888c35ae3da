"""The `isoflop` command: collects the command groups, each in a file beside this one.

Exit codes: 0 done, 2 bad input, or no service or database to ask, 3 the data cannot answer.
"""

import sys
from importlib import import_module

import typer

from fitting.errors import InputError, RefusalError
from store.errors import SchemaError
from sweeper.cli.common import fail
from sweeper.errors import ServiceError

GROUPS = ("laws", "estimate", "data", "service", "sweeps", "reports", "demo")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def load(app: typer.Typer) -> typer.Typer:
    """Let every group add its commands. A group is a module with `register(app)`."""
    for name in GROUPS:
        import_module(f"sweeper.cli.{name}").register(app)
    return app


def run() -> None:
    """Entry point: errors that a user can mend become one sentence and an exit code."""
    try:
        load(app)()
    except RefusalError as e:
        sys.exit(fail(3, e.code, e.reasons))
    except (InputError, SchemaError, ServiceError) as e:
        sys.exit(fail(2, "bad_input", (str(e),)))
    except OSError as e:
        if e.filename is None:  # not a file that somebody named
            raise
        sys.exit(fail(2, "bad_input", (f"{e.filename}: {e.strerror}",)))
