"""The loss of one planned run: what may be asked, and what an answer rests on."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fitting.errors import InputError, RefusalError
from fitting.fit import fit
from fitting.measurements import Measurements
from fitting.predict import predict_run
from fitting.recommend import recommend
from tests.fitting import simulated


@pytest.fixture(scope="module")
def sweep():
    m = simulated.isoflops(noise=2e-3)
    return fit(m, delta="mad"), m


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"unique_tokens": -5.0}, r"unique_tokens must be positive; got -5"),
        ({"unique_tokens": 0.0}, r"unique_tokens must be positive; got 0"),
        ({"unique_tokens": float("nan")}, r"unique_tokens must be positive; got nan"),
        ({"N": 0.0}, r"params must be finite and positive; got 0"),
        ({"N": 1e200, "D": 1e200}, r"FLOP that a float holds; got 1e\+200 and 1e\+200"),
        ({"N": 1e-200, "D": 1e-200}, r"FLOP that a float holds; got 1e-200 and 1e-200"),
    ],
)
def test_a_run_that_cannot_be_meant_is_named(sweep, asked, message):
    with pytest.raises(InputError, match=message):
        predict_run(*sweep, **{"N": 1e9, "D": 1e10, **asked})


def test_a_corpus_that_repeats_is_neither_silent_nor_supported(sweep):
    few = predict_run(*sweep, 5e8, 5e9, unique_tokens=2.5e9)
    assert few["verdict"] == "supported"
    assert "2 epochs of 2.5e+09 unique tokens, nearly as good" in few["warnings"][0]["message"]
    many = predict_run(*sweep, 5e8, 5e9, unique_tokens=5e6)
    assert many["verdict"] == "extrapolated"
    assert "1e+03 epochs of 5e+06 unique tokens, worth much less" in many["warnings"][0]["message"]
    assert predict_run(*sweep, 5e8, 5e9, unique_tokens=5e9)["warnings"] == []


@pytest.mark.parametrize("times", [1.0, 1.04, 1.2, 3.0])
def test_a_run_on_the_optimum_has_the_verdict_of_its_budget(sweep, times):
    fitted, m = sweep
    answer = recommend(fitted, m, flops=times * float(m.flops.max()))
    run = predict_run(fitted, m, answer.n_params, answer.n_tokens)
    assert run["verdict"] == answer.verdict == ("supported" if times < 1.05 else "extrapolated")


@pytest.mark.parametrize(("N", "D"), [(1e14, 1e15), (1e-300, 1e10), (1e9, 1.0)])
def test_a_run_too_far_is_refused_with_the_limit_and_the_remedy(sweep, N, D):
    with pytest.raises(RefusalError, match=r"outside the measured .* beyond 1e\+04 times the measured range no fit is supported \(measure nearer runs\)") as e:  # fmt: skip
        predict_run(*sweep, N, D)
    assert e.value.code == "too_far"
    assert "measure nearer runs" in e.value.reasons[-1]


def test_an_interval_that_is_no_number_is_refused(sweep):
    fitted, m = sweep
    bad = replace(fitted, residual_sd=float("nan"))
    with pytest.raises(RefusalError, match="chinchilla law gives no finite interval of the loss at 5e"):  # fmt: skip
        predict_run(bad, m, 5e8, 5e9)


def test_a_rollout_without_an_optimum_widens_nothing_and_says_so(sweep, monkeypatch):
    fitted, m = sweep
    law = type(fitted.law_object)
    monkeypatch.setattr(law, "log_optimum", lambda _self, x, C: np.full((len(x), len(C)), np.nan))
    found = predict_run(fitted, m, 5e8, 5e9)
    json.dumps(found, allow_nan=False)
    [note] = [n for n in found["warnings"] if n["code"] == "no_rollout"]
    assert (
        "tested: without the largest budgets the chinchilla law has no optimum" in note["message"]
    )


def test_a_law_that_knows_of_repetition_speaks_for_the_epochs_it_has_seen():
    m = simulated.grid(noise=2e-3)
    columns = m.to_columns() | {"unique_tokens": list(m.n_tokens / np.tile([1, 20], 18))}
    m = Measurements.from_columns(columns)
    fitted = fit(m, law="muennighoff", delta="mad")
    assert predict_run(fitted, m, 1e9, 1e10, unique_tokens=5e8)["verdict"] == "supported"
    assert predict_run(fitted, m, 1e9, 1e10, unique_tokens=1e8)["verdict"] == "extrapolated"
