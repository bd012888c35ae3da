"""`python -m sweeper.cli` is `isoflop`, for programs that start it without knowing the path."""

from sweeper.cli.main import run

run()
