import json
import signal
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sweeper.cli import clean, data
from trainer.data.web.counts import Counts, StepCount

COUNTS = Counts(
    steps=(
        StepCount(
            step="language",
            n_in=5,
            bytes_in=2_500_000,
            n_out=3,
            bytes_out=1_500_000,
            dropped={"de": 2},
            n_changed=1,
        ),
    ),
    domains={"web": (3, 1_500_000)},
)


@pytest.fixture
def isoflop(monkeypatch):
    """Runs the command; the second value is what `clean` was asked."""
    asked = {}

    def run(out, inputs, *, on_progress, **how):
        on_progress("extract")
        asked.update(out=out, inputs=inputs, **how)
        return COUNTS

    def invoke(*args):
        app = typer.Typer()
        data.register(app)
        return CliRunner().invoke(app, ["data", "clean", *args], catch_exceptions=False), asked

    monkeypatch.setattr("trainer.data.web.pipeline.clean", run)
    monkeypatch.setattr(clean.OUT, "width", 100)
    return invoke


def test_the_table_names_every_step_reason_and_domain(isoflop):
    result, asked = isoflop("--input", "a.warc", "--out", "o", "--languages", "en,de")
    assert asked["languages"] == ("en", "de")
    assert asked["workers"] == 1
    words = " ".join(result.stdout.replace("│", " ").split())
    assert "o: 5 records in, 3 documents out" in words
    assert "language 5 2 3 2.50 1.50 de 2 of these changed 1 all 5 2 3" in words
    assert "web 3 1.50" in words


def test_json_is_what_the_file_of_counts_holds(isoflop):
    options = [
        "--good",
        "g",
        "--quality-share",
        ".2",
        "--domains",
        "h.yaml",
        "--workers",
        "2",
        "--json",
    ]
    result, asked = isoflop("--input", "a.warc", "--input", "b", "--out", "o", *options)
    assert json.loads(result.stdout) == COUNTS.to_dict()
    assert asked["inputs"] == [Path("a.warc"), Path("b")]
    assert (asked["good"], asked["hosts"], asked["quality_share"]) == (
        Path("g"),
        Path("h.yaml"),
        0.2,
    )


def test_sigterm_unwinds_and_the_former_handler_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"), clean._ended_in_order():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
