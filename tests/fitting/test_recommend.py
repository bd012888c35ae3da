"""From a law to an answer: the optimum, what is flat around it, and how far it may be trusted."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.errors import InputError, RefusalError
from fitting.fit import fit
from fitting.measurements import Measurements
from fitting.predict import predict_run
from fitting.recommend import flat_band, predict, recommend, regret, regrets
from fitting.rollout import HeldOut, Rollout
from fitting.sensitivity import by_convention, sensitivity
from tests.fitting import simulated

M = simulated.isoflops(noise=2e-3, n_sizes=7)


@pytest.fixture(scope="module")
def fitted():
    return fit(M, delta="mad", n_bootstrap=100)


@settings(max_examples=15)
@given(st.floats(18, 22), st.floats(0, 3))
def test_the_budget_is_spent_exactly(exponent, served):
    found = fit_once()
    r = recommend(found, flops=10.0**exponent, inference_tokens=served * 1e9)
    assert 6 * r.n_params * r.n_tokens + 2 * r.n_params * served * 1e9 == pytest.approx(
        r.flops, rel=1e-9
    )
    assert r.n_params < 1.0001 * found.optimum(r.flops)[0]


def fit_once(cache={}):  # noqa: B006
    if not cache:
        cache["fit"] = fit(M, delta="mad")
    return cache["fit"]


def test_no_other_size_in_the_flat_band_is_much_worse(fitted):
    r = recommend(fitted, M, flops=1e20)
    low, high = r.flat_band
    assert low < r.n_params < high
    assert regret(fitted, 1e20, [low, r.n_params, high]) == pytest.approx([0.02, 0, 0.02], abs=3e-3)
    assert regret(fitted, 1e20, [low / 2])[0] > 0.02
    assert flat_band(fitted, 1e20, r.n_params, 0.0, None) == r.flat_band


def test_the_rollouts_error_widens_the_interval_of_the_loss(fitted):
    exact = HeldOut(flops=3e19, distance=1.0, error_log_loss=0.0, error_log_size=0.0)
    best = [float(v) for v in fitted.optimum(1e21)]
    alone = predict(fitted, *best, rolled=Rollout(held_out=(exact,)))
    tested = recommend(fitted, M, flops=1e21).loss
    assert tested.high - tested.low > alone.high - alone.low


def test_a_law_fitted_to_nothing_recommends_nothing(fitted):
    loss = np.random.default_rng(0).uniform(2, 3, len(M))
    nothing = Measurements.from_columns(M.to_columns() | {"loss": loss})
    with pytest.raises(RefusalError, match="nothing to extrapolate"):
        recommend(fitted, nothing, flops=1e20)


@pytest.mark.parametrize("n_lost", [3, 60])
def test_resamples_without_an_optimum_are_counted(n_lost):
    law = fit(M, law="frontier", delta="mad", n_bootstrap=100)
    samples = {k: v.copy() for k, v in law.samples.items()}
    samples["G"][:n_lost] = np.nan
    lost = replace(law, samples=samples)
    message = f"{n_lost} of {len(samples['G'])} resamples of the frontier law have no optimum at 1e\\+20 FLOP"  # fmt: skip
    if n_lost > 50:
        with pytest.raises(RefusalError, match=f"{message}: the measurements do not determine it"):
            recommend(lost, M, flops=1e20)
        return
    note = next(n for n in recommend(lost, M, flops=1e20).warnings if n.code == "samples_without_optimum")  # fmt: skip
    assert re.match(message, note.message)


def test_one_bad_run_hides_no_law(fitted):
    loss = M.loss.copy()
    loss[3] *= 1e6
    recommend(fitted, Measurements.from_columns(M.to_columns() | {"loss": loss}), flops=1e20)


@pytest.mark.parametrize("budgets", [(1e18,), (1e18, 3e18)])
def test_what_cannot_be_tested_is_answered_with_a_wider_interval(budgets):
    m = simulated.isoflops(noise=1e-3, n_sizes=8, budgets=np.array(budgets))
    fitted = fit(m, delta="mad")
    r = recommend(fitted, m, flops=1e20)
    note = next(n for n in r.warnings if n.code == "no_rollout")
    assert "points above the others in compute; got 0; the interval" in note.message
    exact = HeldOut(flops=3e19, distance=1.0, error_log_loss=0.0, error_log_size=0.0)
    alone = predict(fitted, r.n_params, r.n_tokens, rolled=Rollout(held_out=(exact,)))
    assert r.loss.high - r.loss.low > alone.high - alone.low


@pytest.mark.parametrize(
    ("flops", "verdict"),
    [(1e13, "refused"), (1e17, "extrapolated"), (1e19, "supported"), (1e21, "extrapolated"), (1e24, "refused")],
)  # fmt: skip
def test_the_verdict_follows_the_distance(fitted, flops, verdict):
    r = recommend(fitted, M, flops=flops)
    assert r.verdict == verdict
    assert json.dumps(r.to_dict(), allow_nan=False)


def test_below_the_measured_compute_the_loss_is_as_uncertain_as_above(fitted):
    inside, below = (recommend(fitted, M, flops=C).loss for C in (3e18, 3e16))
    assert np.log(below.high / below.low) > 1.5 * np.log(inside.high / inside.low)


def test_a_budget_far_below_the_measured_says_what_to_measure(fitted):
    note = recommend(fitted, M, flops=1e12).warnings[0]
    assert note.code == "too_far"
    assert note.message == (
        "1e+12 FLOP is 1e-06 times the least measured compute (1e+18); beyond 1e+04 times no fit "
        "is supported (measure down to 1e+16 FLOP)"
    )


def test_too_little_data_makes_a_smaller_corpus_epochs_and_says_so(fitted):
    r = recommend(fitted, M, flops=1e21, unique_tokens=1e9)
    assert "worth much less than new data" in next(
        n.message for n in r.warnings if n.code == "repeated_data"
    )


def test_a_law_of_repetition_prefers_epochs_to_parameters_when_data_are_short():
    # R_D* above R_N*: a repeated token is worth more than a parameter in excess.
    columns = simulated.grid().to_columns()
    base = Measurements.from_columns(columns | {"unique_tokens": columns["n_tokens"]})
    found = fit(base, law="muennighoff", fixed={"R_D": 15.0, "R_N": 5.0})
    plenty, short = (recommend(found, flops=1e21, unique_tokens=u) for u in (1e13, 1e9))
    assert short.loss.value > plenty.loss.value
    assert short.n_params < plenty.n_params


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flops": 0.0}, "flops must be finite and positive; got 0.0"),
        ({"flops": float("nan")}, "flops must be finite and positive; got nan"),
        (
            {"flops": 1e20, "inference_tokens": -1.0},
            "inference_tokens must not be negative; got -1.0",
        ),
        ({"flops": 1e20, "unique_tokens": 0.0}, "unique_tokens must be positive; got 0.0"),
    ],
)
def test_bad_questions_are_named(fitted, options, message):
    with pytest.raises(InputError, match=message):
        recommend(fitted, **options)


def test_serving_more_than_the_budget_is_refused(fitted):
    with pytest.raises(RefusalError, match="the chinchilla law has no optimum at 1e"):
        recommend(fitted, flops=1e20, inference_tokens=1e300)


def test_a_prediction_of_a_measured_run_is_supported(fitted):
    p = predict_run(fitted, M, float(M.n_params[9]), float(M.n_tokens[9]))
    assert p["verdict"] == "supported"
    assert p["loss"]["low"] < M.loss[9] < p["loss"]["high"]
    with pytest.raises(RefusalError, match="no fit is supported"):
        predict_run(fitted, M, 1e12, 1e14)
    with pytest.raises(InputError, match="params must be finite and positive; got 0"):
        predict_run(fitted, M, 0.0, 1e9)


def test_sensitivity_lists_objectives_and_laws():
    found = sensitivity(M, 1e20)
    assert {"objective lad", "law kaplan"} <= set(found["n_params"])
    assert 0 < found["spread"]["log_n_params_sd"] < np.log(2)


def test_every_convention_of_n_is_fitted_where_the_table_has_it():
    columns = M.to_columns()
    columns["n_params_total"] = [n * 1.5 + 1e7 for n in columns["n_params"]]
    found = by_convention(columns)
    assert set(found) == {"n_params", "n_params_total"}
    assert found["n_params_total"].n_convention == "n_params_total"
    assert found["n_params"].coefficients["alpha"] != found["n_params_total"].coefficients["alpha"]


def test_regrets_are_least_at_the_optimum(fitted):
    rows = regrets(fitted, 1e20)
    best = min(rows, key=lambda r: r["extra_compute"])
    assert best["n_params"] == pytest.approx(float(fitted.optimum(1e20)[0]))
    assert best["extra_compute"] == pytest.approx(0, abs=1e-9)


def test_the_flat_band_of_a_local_law_is_one_stretch():
    found = fit(M, law="frontier", delta="mad")
    low, high = recommend(found, flops=1e20).flat_band
    assert 1.1 < high / low < 10


@settings(max_examples=15)
@given(st.integers(0, 50), st.floats(1e-3, 8e-3), st.sampled_from(["chinchilla", "frontier"]), st.floats(-1, 2))  # fmt: skip
def test_the_flat_band_of_a_small_sweep_brackets_the_optimum(seed, noise, law, decades):
    m = simulated.isoflops(noise=noise, seed=seed, budgets=np.geomspace(1e11, 8e11, 4))
    try:
        fitted = fit(m, law=law, delta="mad")
    except RefusalError:
        return
    C = 8e11 * 10**decades
    N = float(fitted.optimum(C)[0])
    best = float(fitted.predict(N, C / 6 / N))
    low, high = flat_band(fitted, C, N, 0.0, None)
    assert N / 50 < low <= N <= high < N * 50
    for end in (low, high):
        assert fitted.predict(end, 1.02 * C / 6 / end) <= best * (1 + 1e-9)


def test_a_skewed_valley_that_falls_again_ends_the_flat_band():
    # Its ridge, at ln N = -2 K / 3 G beside the optimum, is lower than 2 % of compute.
    fitted = fit(simulated.isoflops(noise=2e-3, n_sizes=7), law="frontier", delta="mad")
    skewed = replace(fitted, coefficients=fitted.coefficients | {"curvature": 1e-3, "skew": -1e-3})
    N = float(skewed.optimum(1e19)[0])
    low, high = flat_band(skewed, 1e19, N, 0.0, None)
    assert low < N < high < 2 * N
