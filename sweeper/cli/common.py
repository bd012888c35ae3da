"""What every command shares: printing JSON or tables, and failing with a sentence."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console

OUT = Console(markup=False)  # names and reasons are other people's: a bracket is a bracket
ERR = Console(stderr=True, markup=False)


def print_json(value: Any) -> None:
    """Strict JSON on standard output: NaN would be an error here, not a surprise elsewhere."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def fail(status: int, code: str, reasons: Sequence[str]) -> int:
    """Say why on standard error (as JSON where --json was asked for); return the exit code."""
    if "--json" in sys.argv:
        sys.stderr.write(json.dumps({"error": {"code": code, "reasons": list(reasons)}}) + "\n")
    else:
        word = "refused" if status == 3 else "error"
        for reason in reasons:
            ERR.print(f"{word}: {reason}", style="bold red", markup=False, highlight=False)
    return status
