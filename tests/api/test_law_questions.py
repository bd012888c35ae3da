"""Predictions, comparisons and designs over REST: the command line's JSON, problems for the rest."""

import csv
import io
import json

import pytest

from sweeper.cli import main
from tests.fitting import simulated


def as_csv(**options):
    columns = simulated.isoflops(noise=1e-3, **options).to_columns()
    file = io.StringIO(newline="")
    csv.writer(file).writerows([columns, *zip(*columns.values(), strict=True)])
    return file.getvalue()


@pytest.fixture
def recipes(client):
    """Two studies of two recipes: their ids, and their tables."""
    texts = {"one": as_csv(), "two": as_csv(seed=1, coefficients={**simulated.TRUTH, "E": 1.6})}
    ids = []
    for name, text in texts.items():
        answer = client.post(
            "/v1/studies", content=text, params={"name": name}, headers={"Content-Type": "text/csv"}
        )
        ids.append(answer.json()["id"])
    return ids, list(texts.values())


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """JSON of a command on tables."""

    def call(name, *tables, **options):
        paths = [tmp_path / f"{i}.csv" for i in range(len(tables))]
        for path, text in zip(paths, tables, strict=True):
            path.write_text(text)
        flags = [part for k, v in options.items() for part in (f"--{k}", str(v))]
        monkeypatch.setattr("sys.argv", ["isoflop", name, *map(str, paths), *flags, "--json"])
        with pytest.raises(SystemExit):
            main.run()
        return json.loads(capsys.readouterr().out)

    return call


def close(found, wanted):
    """Equal JSON; numbers up to rounding on their way through the database."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        return all(close(found[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(close, found, wanted))
    return found == (pytest.approx(wanted, rel=1e-6) if isinstance(wanted, float) else wanted)


def test_a_prediction_is_the_command_lines(client, recipes, command):
    (one, _), (text, _) = recipes
    body = {"study_id": one, "law": "chinchilla", "n_bootstrap": 50}
    fit = client.post("/v1/fits", json=body).json()
    ask = {"fit_id": fit["id"], "n_params": 1e9, "n_tokens": 2e10}
    found = client.post("/v1/predictions", json=ask)
    assert found.status_code == 200, found.text
    assert close(found.json(), command("predict", text, params=1e9, tokens=2e10, bootstrap=50))


def test_an_analysis_predicts_by_its_most_trusted_law(client, answered):
    ask = {"fit_id": answered.fit_id, "n_params": 3e4, "n_tokens": 5e6}
    found = client.post("/v1/predictions", json=ask).json()
    assert found["law"] in {"chinchilla", "frontier"}
    assert found["loss"]["low"] < found["loss"]["value"] < found["loss"]["high"]


def test_a_comparison_is_the_command_lines(client, recipes, command):
    (one, two), texts = recipes
    ask = {"a": {"study_id": one}, "b": {"study_id": two}, "n_bootstrap": 50}
    found = client.post("/v1/comparisons", json=ask)
    assert found.status_code == 200, found.text
    assert close(found.json(), command("compare", *texts, bootstrap=50))
    assert "b is better" in found.json()["verdict"]


def test_a_design_is_the_command_lines(client, recipes, command):
    (one, _), (text, _) = recipes
    found = client.post("/v1/designs", json={"study_id": one, "target": 3e20, "total": 1e21})
    assert found.status_code == 200, found.text
    assert close(found.json(), command("design", text, target=3e20, total=1e21))
    before = client.post("/v1/designs", json={"target": 1e22}).json()
    assert (before["now"], before["warnings"][0]["code"]) == (None, "assumed_law")


@pytest.mark.parametrize(
    ("path", "body", "status_and_words"),
    [
        ("predictions", {"n_params": 1e9, "n_tokens": 2e10}, (422, "fit_id")),
        ("predictions", {"fit_id": 9, "n_params": 1e9, "n_tokens": 1e9}, (404, "no fit 9")),
        ("predictions", {"fit_id": 1, "n_params": 0, "n_tokens": 2e10}, (422, "n_params")),
        ("predictions", {"fit_id": 1, "n_params": 1e15, "n_tokens": 1e15}, (409, "lies outside")),
        ("comparisons", {"a": {"study_id": 1}, "b": {}}, (422, "exactly one of sweep_id")),
        ("comparisons", {"a": {"study_id": 1}, "b": {"study_id": 9}}, (404, "no study 9")),
        (
            "comparisons",
            {"a": {"study_id": 1}, "b": {"study_id": 2}, "law": "tarot"},
            (422, "law must be one of"),
        ),
        ("designs", {"study_id": 1}, (422, "target")),
        ("designs", {"study_id": 1, "target": -1}, (422, "target")),
        ("designs", {"study_id": 1, "sweep_id": 1, "target": 1e20}, (422, "exactly one")),
        ("designs", {"sweep_id": 9, "target": 1e20}, (404, "no sweep 9")),
    ],
)
@pytest.mark.usefixtures("recipes")
def test_what_cannot_be_answered_is_a_problem(client, assert_problem, path, body, status_and_words):
    status, words = status_and_words
    client.post("/v1/fits", json={"study_id": 1, "law": "chinchilla"})
    answer = client.post(f"/v1/{path}", json=body)
    assert_problem(answer, status)
    assert words in answer.text
