"""`isoflop estimate` and `isoflop budget`: what they print and how they fail."""

import json
import sys

import pytest
import typer

from sweeper.cli import main


@pytest.fixture
def isoflop(monkeypatch, capsys):
    """Run the command in this process; returns (exit code, stdout, stderr)."""

    def run(*args):
        monkeypatch.setattr(main, "GROUPS", ("estimate",))
        monkeypatch.setattr(main, "app", typer.Typer(pretty_exceptions_enable=False))
        monkeypatch.setattr(main.load, "__defaults__", None)
        monkeypatch.setattr(sys, "argv", ["isoflop", *args])
        with pytest.raises(SystemExit) as stopped:
            main.run()
        captured = capsys.readouterr()
        return stopped.value.code or 0, captured.out, captured.err

    return run


def test_the_lecture_in_one_line(isoflop):
    code, out, _ = isoflop(
        "estimate", "--params", "405B", "--tokens", "15.6T", "--devices", "16000",
        "--preset", "cs229", "--today", "2024-12-01",
    )  # fmt: skip
    assert code == 0
    for digits in ("3.791e25 FLOP", "68.6 days", "$52.65M", "$25M", "4,423 t", "2,211"):
        assert digits in out
    assert "OVER 1e+25 FLOP" in out
    assert "under 1e+26 FLOP" in out
    assert "note:" not in out


def test_json_is_strict_and_complete(isoflop):
    code, out, _ = isoflop("estimate", "--flops", "1e22", "--device", "a100", "--json")
    d = json.loads(out)
    assert code == 0
    assert d["flops"]["value"] == 1e22
    assert {"device_hours", "days", "usd", "energy_kwh", "tco2e"} <= set(d)


def test_explain_shows_formulas_and_sources(isoflop):
    _, out, _ = isoflop("estimate", "--model", "llama3-405b", "--preset", "cs229", "--explain")
    assert "device_hours = flops 3.791e25 FLOP / (achieved 4e14 FLOP/s × 3,600 s/h)" in out
    assert "[1] Stanford CS229 lecture" in out


def test_what_is_unverified_is_said_without_being_asked(isoflop):
    _, out, _ = isoflop("estimate", "--flops", "1e22", "--device", "rtx-5090")
    assert "unverified: energy_it_kwh" in out
    assert "power: as remembered, unverified (575 W TGP)" in out


def test_the_comparison_says_where_the_factor_of_two_comes_from(isoflop):
    _, out, _ = isoflop("estimate", "--compare", "--today", "2026-11-21")
    assert "x2.02 in CO2 = x1.17 in device-hours" in " ".join(out.split())
    assert json.loads(isoflop("estimate", "--compare", "--json")[1])["gap"]["hours"] > 1.17


def test_disclosed_runs_are_checked(isoflop):
    _, out, _ = isoflop("estimate", "--published")
    assert "22 of 26 inside the predicted band" in out
    assert len(json.loads(isoflop("estimate", "--published", "--json")[1])) == 26


def test_a_budget_is_priced_back(isoflop):
    _, out, _ = isoflop("estimate", "--budget", "$75M", "--preset", "cs229", "--json")
    assert json.loads(out)["usd_total"]["value"] == pytest.approx(75e6)


def test_serving_is_priced(isoflop):
    _, out, _ = isoflop(
        "estimate", "--model", "llama3-8b", "--prompt-tokens", "1e12", "--output-tokens", "1e11",
        "--json",
    )  # fmt: skip
    assert set(json.loads(out)["inference"]) >= {"prefill_device_hours", "decode_device_hours"}


def test_what_to_train_on_a_budget(isoflop):
    code, out, _ = isoflop("budget", "10,000 H100 for 30 days", "--inference-tokens", "1e13")
    assert code == 0
    assert "Sweep: 10% of it" in out
    assert "computed, were the law's form certain" in out
    shared = isoflop("budget", "1e21 flop", "--sweep-share", "0.05", "--json")[1]
    assert json.loads(shared)["sweep"]["share"] == 0.05
    assert "inference aware" in out
    d = json.loads(isoflop("budget", "5000usd", "--json")[1])
    assert {"sweep", "choices", "final_run", "whole_budget"} <= set(d)


def test_the_answer_is_drawn(isoflop, tmp_path):
    file = tmp_path / "cost.svg"
    assert isoflop("budget", "5000usd", "--plot", str(file), "--json")[0] == 0
    assert "<svg" in file.read_text()
    code, _, err = isoflop("budget", "5000usd", "--plot", str(tmp_path / "cost.gif"))
    assert code == 2
    assert "plot must end in .svg or .png" in err


def test_an_overlay_is_used(isoflop, tmp_path):
    path = tmp_path / "ours.toml"
    path.write_text(
        "[[prices]]\ndevice='h100-sxm'\nkind='on-demand'\nusd_h=2.5\nprovider='us'\n"
        "as_of='2026-10'\nsource='contract'\n"
    )
    _, out, _ = isoflop("estimate", "--flops", "1e22", "--device", "h100", "--json",
                        "--overlay", str(path))  # fmt: skip
    assert json.loads(out)["inputs"]["price"]["value"] == 2.5


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--flops", "1e22", "--mfu", "45"], "mfu must lie in (0, 1]; got 45.0 (a percentage?)"),
        (["--flops", "1e22", "--devices", "0"], "n_devices must be a whole number from 1; got 0"),
        (["--flops", "nan"], "flops must be a number such as 405e9 or 405B; got 'nan'"),
        (["--flops", "-1"], "flops must be positive and finite; got '-1'"),
        (["--params", "1e9"], "n_tokens is missing"),
        (["--budget", "1e3 flop"], "less than one training step"),
        (["--budget", "3 parsec"], "unknown unit 'parsec'"),
        (["--budget", "$1", "--flops", "1e22"], "give a budget, or what to train; not both"),
        (["--flops", "1e22", "--device", "h1000"], "device 'h1000' is unknown; did you mean"),
        (["--flops", "1e22", "--output-tokens", "1e9"], "serving needs n_params"),
    ],
)
def test_bad_input_exits_with_2_and_a_sentence(isoflop, args, message):
    code, out, err = isoflop("estimate", *args)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_bad_input_is_json_where_json_was_asked_for(isoflop):
    code, _, err = isoflop("estimate", "--flops", "-1", "--json")
    assert code == 2
    assert json.loads(err)["error"]["code"] == "bad_input"


def test_a_budget_that_serving_uses_up_exits_with_3(isoflop):
    code, _, err = isoflop("budget", "1e10 flop", "--inference-tokens", "1e30")
    assert code == 3
    assert "leaves nothing" in err
