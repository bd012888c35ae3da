import json

import pytest
import typer
from typer.testing import CliRunner

from fitting.errors import InputError
from sweeper.cli import data


@pytest.fixture
def call(tmp_path):
    app = typer.Typer()
    data.register(app)
    texts = tmp_path / "texts"
    texts.mkdir()
    for i in range(30):
        (texts / f"{i}.txt").write_text(f"document {i} " * 20)

    def run(*args):
        return CliRunner().invoke(app, ["data", *map(str, args)], catch_exceptions=False)

    return run


def test_prepare_and_show_tell_the_same(call, tmp_path):
    corpus, texts = tmp_path / "corpus", tmp_path / "texts"
    made = call("prepare", "--out", corpus, "--input", texts, "--val-share", 0.3, "--json")
    assert made.exit_code == 0
    shown = call("show", corpus, "--verify", "--json")
    fingerprint = json.loads((corpus / "manifest.json").read_text())["fingerprint"]
    assert json.loads(shown.stdout)["fingerprint"] == fingerprint
    assert fingerprint in made.stdout
    assert fingerprint in call("show", corpus).stdout.replace("\n", "")


def test_a_folder_without_a_corpus_is_refused(call, tmp_path):
    with pytest.raises(InputError, match="isoflop data prepare"):
        call("show", tmp_path)


def test_tune_refuses_a_rate_that_is_no_number():
    from sweeper.cli.tuning import _number

    with pytest.raises(InputError, match="lrs must be positive numbers; got 'x'"):
        _number("x", "lrs")
