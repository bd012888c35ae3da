"""The commands that conclude from a CSV, as a user runs them: output, JSON and exit codes."""

import csv
import json

import pytest

from sweeper.cli import main
from tests.fitting import simulated, tables


@pytest.fixture
def runs(tmp_path):
    path = tmp_path / "runs.csv"
    write(path, simulated.isoflops(noise=1e-3).to_columns())
    return path


def write(path, columns):
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(columns)
        out.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture
def isoflop(monkeypatch, capsys):
    """Runs a command line; gives exit code, standard output and standard error."""

    def call(*args):
        monkeypatch.setattr("sys.argv", ["isoflop", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            main.run()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


def test_fit_prints_the_documented_json(isoflop, runs):
    code, out, _ = isoflop("fit", runs, "--json", "--bootstrap", 20, "--seed", 1)
    found = json.loads(out)
    assert code == 0
    assert {"law", "objective", "delta", "n_measurements", "coefficients", "exponents",
            "standard_errors", "intervals", "objective_value", "diagnostics", "warnings"} <= set(found)  # fmt: skip
    assert set(found["coefficients"]) == {"E", "A", "B", "alpha", "beta"}
    assert found["exponents"]["a"] == pytest.approx(0.37 / 0.72, abs=0.05)
    assert found["n_measurements"] == 20


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["fit", "--study", "x", "--delta", "5"], "--delta needs a CSV file"),
        (["fit", "--study", "x", "--iid"], "--iid needs a CSV file"),
        (["fit", "--sweep", 1, "--keep-outliers"], "--keep-outliers needs a CSV file"),
        (["fit", "RUNS", "--sweep", 999], "--sweep is of the service, and a CSV file was given"),
        (["fit", "RUNS", "--law", "auto", "--scheme", "wild"], "--scheme is of a single law"),
        (["recommend", "--fit", 1, "--budget", "1e20FLOP", "--law", "kaplan"], "--law needs a CSV"),
        (
            ["recommend", "RUNS", "--budget", "1e20FLOP", "--law", "auto", "--delta", "mad"],
            "--delta is of a single law",
        ),
        (["recommend", "RUNS", "--fit", 1, "--budget", "1e20FLOP"], "--fit is of the service"),
        (["report", "--sweep", 1, "-o", "r.html", "--budget", "1usd"], "--budget needs a CSV file"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(isoflop, runs, args, words):
    code, _, err = isoflop(*(runs if a == "RUNS" else a for a in args))
    assert code == 2
    assert words in " ".join(err.split())
    assert "leave it out" in " ".join(err.split())


def test_fit_shows_tables_to_people(isoflop, runs):
    code, out, _ = isoflop("fit", runs)
    assert code == 0
    assert "std. error" in out
    assert "log_mse" in out


def test_fit_auto_names_the_trusted_approach(isoflop, runs):
    code, out, _ = isoflop("fit", runs, "--law", "auto", "--bootstrap", 20)
    assert code == 0
    assert "of the weight" in out
    found = json.loads(isoflop("fit", runs, "--law", "auto", "--bootstrap", 20, "--json")[1])
    assert found["trusted"] in found["weights"]


def test_recommend_prints_the_documented_json(isoflop, runs):
    code, out, _ = isoflop("recommend", runs, "--budget", "3e20FLOP", "--bootstrap", 50, "--json")
    found = json.loads(out)
    assert code == 0
    assert {"n_params", "n_tokens", "tokens_per_param", "loss", "intervals", "flat_band", "cost",
            "verdict", "warnings"} <= set(found)  # fmt: skip
    assert found["n_params"] == pytest.approx(simulated.best_size(3e20), rel=0.15)
    assert found["cost"]["usd"]["low"] <= found["cost"]["usd"]["value"]
    assert found["verdict"] == "extrapolated"


def test_regret_under_auto_is_none_at_the_recommended_size(isoflop, runs):
    ask = ("recommend", runs, "--law", "auto", "--budget", "3e20FLOP", "--bootstrap", 20)
    found = json.loads(isoflop(*ask, "--json")[1])
    best = next(r for r in found["regret"] if r["n_params"] == pytest.approx(found["n_params"]))
    assert best["extra_compute"] == pytest.approx(0, abs=1e-9)


def test_a_flat_band_that_is_not_known_is_printed_as_such(capsys):
    from sweeper.cli.tables import show_recommendation

    show_recommendation({
        "flops": 1e20, "method": "parabola", "verdict": "supported", "n_params": 1e9,
        "n_tokens": 2e10, "tokens_per_param": 20.0, "cost": {}, "warnings": [],
        "intervals": {"n_params": [9e8, 1.1e9], "n_tokens": [1.9e10, 2.1e10]},
        "loss": {"value": 2.0, "low": 1.9, "high": 2.1}, "flat_band": {"n_params": None},
    })  # fmt: skip
    assert "unknown" in capsys.readouterr().out


def test_all_approaches_together_answer_about_serving_and_short_data(isoflop, runs):
    ask = ("recommend", runs, "--law", "auto", "--budget", "3e20FLOP", "--bootstrap", 20, "--json")
    plain, served, short = (
        json.loads(isoflop(*ask, *more)[1])
        for more in ((), ("--inference-tokens", 1e11), ("--unique-tokens", 1e9))
    )
    assert served["n_params"] < plain["n_params"]
    assert served["train_flops"] < plain["train_flops"]
    assert "repetition_unmeasured" in {w["code"] for w in short["warnings"]}
    code, _, err = isoflop(*ask, "--inference-tokens", 1e17)
    assert (code, json.loads(err)["error"]["code"]) == (3, "too_small")


@pytest.mark.parametrize("budget", ["50000usd", "100gpuh", "3d@64xh100-sxm", "1tco2e"])
def test_recommend_takes_budgets_in_any_unit(isoflop, runs, budget):
    code, out, _ = isoflop("recommend", runs, "--budget", budget, "--bootstrap", 20)
    assert code in {0, 3}
    assert "N* parameters" in out


def test_recommend_beyond_support_prints_and_exits_with_3(isoflop, runs):
    code, out, _ = isoflop("recommend", runs, "--budget", "1e25FLOP", "--json", "--bootstrap", 20)
    assert code == 3
    assert json.loads(out)["verdict"] == "refused"


def test_predict_gives_an_interval_and_a_verdict(isoflop, runs):
    code, out, _ = isoflop("predict", runs, "--params", 1e9, "--tokens", 2e10, "--json", "--bootstrap", 20)  # fmt: skip
    found = json.loads(out)
    assert code == 0
    assert found["loss"]["low"] < simulated.loss(1e9, 2e10) < found["loss"]["high"]
    assert "nats/token" in isoflop("predict", runs, "--params", 1e9, "--tokens", 2e10, "--bootstrap", 20)[1]  # fmt: skip


def test_plan_designs_the_next_runs_from_those_measured(isoflop, runs):
    asked = ("--target", 3e20, "--json")
    code, out, _ = isoflop("plan", "--design", runs, *asked)
    assert code == 0
    assert json.loads(out) == json.loads(isoflop("design", runs, *asked)[1])


@pytest.mark.parametrize("arguments", [(), ("--design", "runs.csv"), ("--target", 1e20)])
def test_a_plan_of_nothing_names_what_it_wants(isoflop, arguments):
    code, _, err = isoflop("plan", *arguments)
    assert code == 2
    assert "plan wants a sweep's FILE, or --design RUNS.csv together with --target FLOP" in " ".join(err.split())  # fmt: skip


def test_compare_and_design_answer(isoflop, runs, tmp_path):
    other = {**simulated.TRUTH, "E": 1.6}
    two = write(tmp_path / "b.csv", simulated.isoflops(noise=1e-3, coefficients=other).to_columns())
    code, out, _ = isoflop("compare", runs, two, "--bootstrap", 30)
    assert (code, "b is better" in out) == (0, True)
    assert json.loads(isoflop("compare", runs, two, "--bootstrap", 30, "--json")[1])["loss_ratio"]["high"] < 1  # fmt: skip
    code, _, err = isoflop("compare", runs, two, "-o", "both.doc")
    assert (code, "output must end in .svg, .png or .pdf; got 'both.doc'" in err) == (2, True)
    isoflop("compare", runs, two, "--bootstrap", 30, "-o", tmp_path / "both.svg")
    assert "<svg" in (tmp_path / "both.svg").read_text()
    code, out, _ = isoflop("design", runs, "--target", 3e20, "--total", 1e21)
    assert (code, "halve the interval" in out, "on the sweep" in out) == (0, True, True)
    assert json.loads(isoflop("design", "--target", 1e22, "--total", 1e22, "--json")[1])["split"]


@pytest.mark.parametrize(
    ("name", "columns", "options"),
    [
        ("downstream", tables.scores(), ("--params", 1e10, "--tokens", 2e11)),
        ("hyper", tables.grid_of_runs(), ("--params", 1e9, "--tokens", 1e11)),
        ("curve", tables.schedule(), ()),
        ("moe", tables.experts(), ("--params", 1e10, "--experts", 64)),
    ],
)
def test_laws_beside_the_loss_answer_from_their_own_tables(
    isoflop, tmp_path, name, columns, options
):
    path = write(tmp_path / "table.csv", columns)
    code, out, _ = isoflop("law", name, path, *options)
    assert (code, "rollout: " in out, "prediction: " in out) == (0, True, True)
    found = json.loads(isoflop("law", name, path, *options, "--json")[1])
    assert {"law", "n_measurements", "coefficients", "prediction", "rollout"} <= found.keys()
    assert isoflop("law", name, tmp_path / "none.csv")[0] == 2


@pytest.mark.parametrize("kind", ["isoflop", "residuals", "cost-loss"])
def test_plot_writes_a_file(isoflop, runs, tmp_path, kind):
    code, _, _ = isoflop("plot", kind, runs, "-o", tmp_path / "x.svg")
    assert code == 0
    assert (tmp_path / "x.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("cost-loss", ["--device", "b200", "--law", "muennighoff", "--flops", "1e25"]),
        ("learning-rates", []),
    ],
)
def test_figures_of_published_laws_and_models_need_no_csv(isoflop, tmp_path, kind, options):
    code, out, _ = isoflop("plot", kind, "-o", tmp_path / "x.png", *options)
    assert (code, "of published figures" in " ".join(out.split())) == (0, True)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("fit", "{runs}", "--law", "mystery"), "law must be one of"),
        (("fit", "{runs}", "--objective", "median"), "objective must be one of"),
        (("fit", "{runs}", "--delta", "big"), "delta must be a number or 'mad'"),
        (("fit", "{runs}", "--bootstrap", "-1"), "n_bootstrap must be 0 or at least 2; got"),
        (("fit", "{runs}", "--scheme", "foo"), "scheme must be one of pairs, wild, parametric"),
        (("fit", "{runs}", "--scheme", "wild"), "scheme needs n_bootstrap"),
        (
            ("fit", "{runs}", "--law", "auto", "--delta", "-5", "--iid"),
            "--delta is of a single law, and 'auto' fits all of them; leave it out",
        ),
        (
            ("fit", "{runs}", "--law", "auto", "--objective", "nonsense"),
            "--objective is of a single law",
        ),
        (
            ("fit", "{runs}", "--law", "auto", "--allow-undecayed"),
            "--allow-undecayed is of a single law",
        ),
        (
            ("law", "hyper", "{runs}", "--sequence", "-2048"),
            "sequence must be finite and positive; got -2048",
        ),
        (("fit", "nowhere.csv"), "nowhere.csv"),
        (("fit",), "give a CSV file, or one of --sweep and --study"),
        (("recommend", "--budget", "1e20FLOP"), "give a CSV file, or --fit"),
        (("recommend", "{runs}", "--budget", "lots"), "budget"),
        (("plot", "pie", "{runs}", "-o", "x.svg"), "kind must be one of isoflop"),
        (("plot", "isoflop", "{runs}", "-o", "x.gif"), "output must end in .svg, .png or .pdf"),
        (("plot", "isoflop", "-o", "x.svg"), "the figure 'isoflop' needs a CSV file; got none"),
        (("plot", "learning-rates", "{runs}", "-o", "x.svg"), "leave the CSV out"),
        (("plot", "cost-loss", "--law", "tarot", "-o", "x.svg"), "law must be one of"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(isoflop, runs, args, message):
    code, out, err = isoflop(*(a.replace("{runs}", str(runs)) for a in args))
    assert code == 2
    assert message in " ".join((out + err).split())


def bad(**change):
    return simulated.grid().to_columns() | change


@pytest.mark.parametrize(
    ("columns", "expected", "reason"),
    [
        (bad(loss=[2.5] * 36), 3, "all 36 losses equal"),
        (bad(n_params=[1e8] * 36), 3, "at least 3 model sizes"),
        (bad(n_tokens=[20 * n for n in bad()["n_params"]]), 3, "nearly the same D/N"),
        (bad(decayed=[False] * 36), 3, "before the learning rate had decayed"),
        ({k: v[:3] for k, v in bad().items()}, 3, "need at least 6 measurements; got 3"),
        (bad(loss=[float("nan")] + [2.5] * 35), 2, "loss must be finite and positive; got nan in row 1"),
        (bad(loss=[0.0] + [2.5] * 35), 2, "got 0.0 in row 1"),
        (bad(n_tokens=[-1.0] + [1e9] * 35), 2, "got -1.0 in row 1"),
        (bad(loss_unit=["nats/token"] * 35 + ["bits/byte"]), 2, "loss_unit must be the same"),
    ],
)  # fmt: skip
def test_data_that_cannot_answer_have_their_exit_code(isoflop, tmp_path, columns, expected, reason):
    path = write(tmp_path / "bad.csv", columns)
    code, _, err = isoflop("fit", path, "--json")
    assert code == expected
    assert reason in json.loads(err)["error"]["reasons"][0]
