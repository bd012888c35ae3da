"""Commands against a service of this process: what they print, and how they fail."""

import json

import pytest
import typer
import yaml
from typer.testing import CliRunner

from fitting.errors import InputError
from sweeper.cli.main import load
from sweeper.client import Client


@pytest.fixture
def isoflop():
    """Run a command; its standard output. Errors come out as they are."""
    runner, app = CliRunner(), load(typer.Typer())

    def run(*args, code=0):
        result = runner.invoke(app, [str(a) for a in args])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    return run


@pytest.fixture
def spec_file(tmp_path, spec):
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(spec))
    return file


def test_the_life_of_a_sweep_on_the_command_line(url, isoflop, spec_file, answer_runs, tmp_path):
    assert "5 runs, 20 measurements" in isoflop("plan", spec_file)
    assert f"sweep 1: 5 runs; {url}/sweeps/1" in isoflop("sweep", "submit", spec_file, "--key", "k")
    assert json.loads(isoflop("sweep", "submit", spec_file, "--key", "k", "--json"))["id"] == 1
    assert "tiny" in isoflop("sweep", "list")
    assert "sweep 1 is paused" in isoflop("sweep", "pause", 1)
    isoflop("sweep", "resume", 1)
    answer_runs()
    assert json.loads(isoflop("sweep", "watch", 1, "--json"))["state"] == "finished"
    assert len(json.loads(isoflop("sweep", "show", 1, "--json"))["runs"]) == 5
    table = tmp_path / "out.csv"
    assert "20 measurements" in isoflop("export", "--sweep", 1, "-o", table)
    assert "20 measurements" in isoflop("import", table, "--study", "again")
    assert isoflop("export", "--study", "again").count("\n") == 21
    isoflop("report", "--sweep", 1, "-o", tmp_path / "report.html")
    assert "<h2>Runs" in (tmp_path / "report.html").read_text()


def test_launch_on_the_command_line(url, isoflop, answered, client):
    ask = {"fit_id": answered.fit_id, "budget": "3e13FLOP"}
    recommendation = client.post("/v1/recommendations", json=ask).json()
    first = json.loads(isoflop("launch", "--recommendation", recommendation["id"], "--json"))
    again = json.loads(isoflop("launch", "--recommendation", recommendation["id"], "--json"))
    assert again == first
    assert first["state"] == "queued"


def test_the_design_of_a_sweep_is_a_sweep_that_extends_it(
    url, isoflop, answered, answer_runs, tmp_path
):
    file = tmp_path / "next.yaml"
    ask = ("design", "--sweep", answered.sweep_id, "--target", 1e15, "-o", file)
    shown = isoflop(*ask)
    assert "cheapest runs that halve the interval" in shown
    wanted = json.loads(isoflop(*ask, "--json"))["next_runs"]
    more = yaml.safe_load(file.read_text())
    assert (more["name"], more["extends"], more["context"]) == ("tiny-more", 1, 128)
    asked = {(e["size"], n) for e in more["grid"] for n in e["tokens"]}
    assert asked == {(round(r["n_params"]), round(r["n_tokens"])) for r in wanted}
    assert f"a sweep of {len(asked)} points" in shown
    assert ("equal to another: one seed gives one point" in shown) == (len(asked) < len(wanted))
    assert "extends sweep 1" in isoflop("plan", file)
    isoflop("sweep", "submit", file)
    answer_runs()
    with Client() as client:
        assert client.fit(sweep_id=2, n_bootstrap=50)["n_measurements"] == 20 + len(asked)


def test_a_design_that_no_sweep_can_ask_is_not_written(url, isoflop, answer_runs, client, tmp_path):
    """Its smallest size is below what the ladder has."""
    sizes, budgets = [3e3, 6e3, 12e3, 24e3], [1e10, 2e10, 4e10]
    spec = {"name": "small", "sizes": sizes, "budgets": budgets, "recipe": {"batch_tokens": 128}}
    assert client.post("/v1/sweeps", json=spec).status_code == 201
    answer_runs()
    file = tmp_path / "next.yaml"
    with pytest.raises(InputError, match="n_params must be at least 1126"):
        isoflop("design", "--sweep", 1, "--target", 1e13, "-o", file)
    assert not file.exists()


def test_a_design_is_written_for_a_sweep_only(isoflop, tmp_path):
    with pytest.raises(InputError, match="--out goes with --sweep"):
        isoflop("design", "--target", 1e15, "-o", tmp_path / "next.yaml")


def test_a_plan_needs_no_service(isoflop, spec_file, settings, monkeypatch):
    monkeypatch.delenv("ISOFLOP_URL", raising=False)
    monkeypatch.setenv("ISOFLOP_HOME", str(settings.home))
    assert json.loads(isoflop("plan", spec_file, "--json"))["n_runs"] == 5
    settings.service_file.write_text('{"url": "http://127.0.0.1:9"}')  # of one that was killed
    assert json.loads(isoflop("plan", spec_file, "--json"))["n_runs"] == 5
    with pytest.raises(InputError, match=r"no service answers at http://127\.0\.0\.1:9"):
        isoflop("plan", spec_file, "--url", "http://127.0.0.1:9")


def test_what_it_extends_is_known_to_a_service_alone(
    isoflop, spec, settings, monkeypatch, tmp_path
):
    monkeypatch.setenv("ISOFLOP_HOME", str(settings.home))
    monkeypatch.delenv("ISOFLOP_URL", raising=False)
    file = tmp_path / "more.yaml"
    file.write_text(yaml.safe_dump(spec | {"extends": 3}))
    with pytest.raises(InputError, match=r"extends 3 needs the service that has this sweep"):
        isoflop("plan", file)


def test_a_study_is_not_named_by_a_number(url, isoflop, tmp_path):
    table = tmp_path / "runs.csv"
    table.write_text("n_params,n_tokens,loss\n1e6,2e7,3.2\n")
    with pytest.raises(InputError, match=r"name needs a letter, .*; got '2024'"):
        isoflop("import", table, "--study", "2024")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\nbudgets: [1e12", "neither YAML nor JSON"),
        ("- 1\n- 2\n", "must hold an object"),
        ("name: 2026-11-21\n", "Object of type date is not JSON serializable .put quotes"),
        ("name: x\nbudgets: [.nan]\nsizes: [1e4]\n", "Out of range float values are not JSON"),
        ("name: x\nbudget: [1e12]\nsizes: [1e4]\n", "unknown key 'budget'"),
        ("name: x\nbudgets: [-1e12]\nsizes: [1e4]\n", "greater than 0"),
    ],
)
def test_a_bad_spec_is_bad_input(url, isoflop, tmp_path, text, words):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        isoflop("sweep", "submit", file)


def test_yaml_numbers_without_a_dot_are_numbers(url, isoflop, tmp_path):
    """YAML 1.1 reads 1e12 as text; people mean a number."""
    file = tmp_path / "plain.yaml"
    file.write_text("name: x\nbudgets: [1e11, 1e12]\nsizes: [1e4, 2e4]\n")
    assert json.loads(isoflop("plan", file, "--json"))["n_points"] == 4


def test_a_csv_is_reported_without_a_service(isoflop, reference_data, tmp_path):
    csv, out = reference_data / "runs" / "llama3_isoflop.csv", tmp_path / "r.html"
    isoflop("report", csv, "-o", out, "--budget", "1e22FLOP", "--bootstrap", 50)
    html = out.read_text()
    assert html.count("<figure>") == 4
    assert "<h2>Recommendation" in html
    assert "NLL" in html or "nats" in html  # the unit of the losses is part of the data


def test_a_report_is_of_one_thing(isoflop, tmp_path):
    with pytest.raises(InputError, match="give one of a CSV, --sweep and --study"):
        isoflop("report", "-o", tmp_path / "x.html")


def test_events_arrive_as_they_happen_and_resume_where_one_left_off(url, client, spec):
    with Client(url) as follower:
        client.post("/v1/sweeps", json=spec)
        stream = follower.events()
        first = next(stream)
        client.post("/v1/sweeps/1/pause")
        later = next(e for e in stream if e["data"].get("state") == "paused")
        stream.close()
        again = next(follower.events(after=first["id"]))
    assert first["id"] < later["id"]
    assert again["id"] == first["id"] + 1
