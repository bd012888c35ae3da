"""Which code made a report."""

import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def commit() -> str:
    """Version, and the commit where this is a checkout."""
    root = Path(__file__).parents[1]
    asked = ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return version("isoflop")
    return f"{version('isoflop')} at {said.stdout.strip()}"
