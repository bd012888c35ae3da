"""Serving and short data, asked of all approaches together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.analysis import analyse
from fitting.asked import Asked, read_all
from fitting.errors import InputError, RefusalError
from fitting.fit import fit
from fitting.measurements import Measurements
from fitting.recommend import law_rollout
from fitting.recommendation import Z90
from tests.fitting import simulated

C = 3e20


@pytest.fixture(scope="module")
def clean():
    return analyse(simulated.isoflops(noise=1e-3, half=4.0, n_sizes=7), n_bootstrap=60)


def best_served(served):
    """Least loss on the budget by the true law."""
    N = np.exp(np.linspace(15, 25, 20001))
    D = (C / N - 2 * served) / 6
    N, D = N[D > 0], D[D > 0]
    losses = simulated.loss(N, D)
    return N[losses.argmin()], losses.min()


@pytest.mark.parametrize("served", [1e9, 1e10, 1e11, 1e12])
def test_what_is_served_makes_the_model_smaller_as_the_truth_does(clean, served):
    r = clean.recommend(C, inference_tokens=served)
    N, loss = best_served(served)
    assert r.n_params == pytest.approx(N, rel=0.05)
    assert r.loss.low < loss < r.loss.high
    assert r.flat_band[0] < r.n_params < r.flat_band[1]


@settings(max_examples=10)
@given(st.floats(0, 1e12))
def test_training_and_serving_spend_the_budget(clean, served):
    r = clean.recommend(C, inference_tokens=served)
    assert r.n_params * (6 * r.n_tokens + 2 * served) == pytest.approx(C, rel=1e-9)
    assert r.train_flops == pytest.approx(6 * r.n_params * r.n_tokens)


def test_nothing_to_serve_and_plenty_of_data_is_the_plain_question(clean):
    plain, same = clean.recommend(C), clean.recommend(C, unique_tokens=1e15)
    assert same.to_dict() == plain.to_dict()


def test_an_approach_without_a_loss_surface_passes_its_weight_on(clean):
    weights = {"parabola": 0.75, "chinchilla": 0.25}
    readings, able, notes = read_all(
        clean.approaches, weights, Asked(flops=C, inference_tokens=1e10)
    )
    assert able == {"chinchilla": 1.0}
    assert {"chinchilla", "frontier"} == set(readings)
    assert "2 parabolas: only the optimum is known" in notes[0].message
    assert "the weight goes to 3 Chinchilla law" in notes[0].message


def test_a_ratio_that_nobody_measured_is_named(clean):
    codes = {n.code for n in clean.recommend(C, inference_tokens=1e12).warnings}
    assert "ratio_extrapolated" in codes


def test_serving_nearly_all_of_the_budget_is_refused_with_a_reason_for_each_approach(clean):
    with pytest.raises(RefusalError, match="no approach can say what to serve") as e:
        clean.recommend(C, inference_tokens=3e14)
    assert len(e.value.reasons) == 4
    with pytest.raises(RefusalError, match="not a hundredth of the smallest measured"):
        clean.recommend(C, inference_tokens=1e15)


def test_repetition_that_was_not_measured_is_a_warning(clean):
    r = clean.recommend(C, unique_tokens=1e9)
    note = next(n for n in r.warnings if n.code == "repetition_unmeasured")
    assert "epochs of 1e+09 unique tokens" in note.message
    assert "worth 1.4" in note.message  # 1e9 (1 + 15.39 (1 - e^(-30/15.39))) new tokens


def test_measured_repetition_makes_short_data_dearer():
    N, D, U = (g.ravel() for g in np.meshgrid(np.geomspace(1e8, 2e9, 5), np.geomspace(2e9, 6e10, 5), [5e8, 1e12]))  # fmt: skip
    epochs = np.maximum(D / U, 1)
    worth = D / epochs * (1 + 8 * -np.expm1(-(epochs - 1) / 8))
    truth = {**simulated.TRUTH, "beta": simulated.TRUTH["alpha"]}
    error = np.exp(1e-3 * np.random.default_rng(0).standard_normal(len(N)))
    columns = {"n_params": N, "n_tokens": D, "loss": simulated.loss(N, worth, truth) * error}
    a = analyse(Measurements.from_columns(columns | {"unique_tokens": U}), n_bootstrap=30)
    plenty, short = (a.recommend(1e21, unique_tokens=u) for u in (1e13, 1e9))
    truth_n = simulated.best_size(1e21, truth)
    assert plenty.interval_n_params[0] < truth_n < plenty.interval_n_params[1]
    truth_l = simulated.loss(truth_n, 1e21 / 6 / truth_n, truth)
    assert plenty.loss.value == pytest.approx(truth_l, rel=5e-3)  # with the repeated runs: 10 %
    note = next(n for n in plenty.warnings if n.code == "repeated_rows")
    assert "20 of 50 runs repeat their data more than 4 times" in note.message
    assert short.method == "muennighoff"
    assert short.loss.value > plenty.loss.value
    # its own rollout, point by point, widens the interval like any other law's
    law = fit(a.measurements, law="muennighoff", delta="mad", n_bootstrap=30)
    rolled = law_rollout(law, a.measurements)
    assert len(rolled.held_out) == 1
    distance = np.log(1e21 / a.measured[1])
    assert np.log(short.loss.high / short.loss.low) > 2 * Z90 * rolled.error_at(distance)
    assert {"weight_moved", "repeated_data"} <= {n.code for n in short.warnings}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inference_tokens": -1.0}, "inference_tokens must not be negative; got -1.0"),
        ({"unique_tokens": 0.0}, "unique_tokens must be positive; got 0.0"),
    ],
)
def test_bad_questions_are_named(clean, options, message):
    with pytest.raises(InputError, match=message):
        clean.recommend(C, **options)
