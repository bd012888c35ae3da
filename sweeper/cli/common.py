"""What every command shares: printing JSON or tables, and failing with a sentence."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fitting.errors import InputError

if TYPE_CHECKING:
    from typer import Context

OUT = Console(markup=False)  # names and reasons are other people's: a bracket is a bracket
ERR = Console(stderr=True, markup=False)


def print_json(value: Any) -> None:
    """Strict JSON on standard output: NaN would be an error here, not a surprise elsewhere."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def refuse_given(context: "Context", *names: str, because: str) -> None:
    """Of this command's options, those that it would silently ignore.

    Raises:
        InputError: one of them was given; `because` says where it belongs.
    """
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in names and source is not None and source.name == "COMMANDLINE":
            raise InputError(f"{option.opts[-1]} {because}; leave it out", field=option.name or "")


def fail(status: int, code: str, reasons: Sequence[str]) -> int:
    """Say why on standard error (as JSON where --json was asked for); return the exit code."""
    if "--json" in sys.argv:
        sys.stderr.write(json.dumps({"error": {"code": code, "reasons": list(reasons)}}) + "\n")
    else:
        word = "refused" if status == 3 else "error"
        for reason in reasons:
            ERR.print(f"{word}: {reason}", style="bold red", markup=False, highlight=False)
    return status
