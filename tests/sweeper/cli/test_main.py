"""The command line as a whole: it loads, it is light, it fails with a sentence and a code."""

import json
import subprocess
import sys

import pytest
from rich.table import Table

from fitting.errors import InputError, RefusalError
from store.errors import SchemaError
from sweeper.cli import main
from sweeper.cli.common import OUT, fail
from sweeper.errors import ServiceError


def isoflop(*args):
    code = "from sweeper.cli.main import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=False
    )


def test_help_names_every_step_of_the_main_job():
    out = isoflop("--help").stdout
    for command in ("demo", "up", "data", "plan", "sweep", "fit", "recommend", "launch"):
        assert command in out


def test_no_command_pays_for_torch_or_ray_before_it_needs_them():
    probe = "import sys; from sweeper.cli import main; main.load(main.app); print([m for m in ('torch', 'ray', 'matplotlib', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (InputError("budget must be positive; got -1", field="budget"), 2, "error: budget must be"),
        (SchemaError("run `isoflop migrate`"), 2, "error: run `isoflop migrate`"),
        (ServiceError("http://x answered 503"), 2, "error: http://x answered 503"),
        (IsADirectoryError(21, "Is a directory", "/tmp"), 2, "error: /tmp: Is a directory"),
        (RefusalError("three points fit anything", code="too_few"), 3, "refused: three points"),
    ],
)
def test_errors_become_a_sentence_and_an_exit_code(monkeypatch, capsys, error, status, text):
    def broken(_):
        raise error

    monkeypatch.setattr(main, "load", broken)
    with pytest.raises(SystemExit) as stopped:
        main.run()
    assert stopped.value.code == status
    assert text in capsys.readouterr().err


def test_an_error_of_no_file_keeps_its_traceback(monkeypatch):
    def broken(_):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(main, "load", broken)
    with pytest.raises(BrokenPipeError):
        main.run()


def test_brackets_in_names_are_brackets(capsys):
    made = Table("name", title="[/b]")
    made.add_row("a [/b] c")
    OUT.print(made)
    OUT.print("d [/b] e")
    out = capsys.readouterr().out
    assert ("a [/b] c" in out, "d [/b] e" in out) == (True, True)


def test_with_json_the_error_is_json_too(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["isoflop", "fit", "--json"])
    assert fail(3, "too_few", ["three points fit anything"]) == 3
    said = json.loads(capsys.readouterr().err)
    assert said == {"error": {"code": "too_few", "reasons": ["three points fit anything"]}}
