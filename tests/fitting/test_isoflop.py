"""Approach 2: minima that count, those that do not, and the bias of the parabola."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.bias import corrected, design_bias, vertex_bias
from fitting.errors import RefusalError
from fitting.isoflop import akima, alike, budgets, isoflop, parabola
from fitting.measurements import Measurements
from tests.fitting import simulated


@given(st.floats(10, 25), st.floats(0.01, 1), st.floats(0.5, 5))
def test_a_parabola_finds_its_own_vertex(middle, bend, least):
    log_n = middle + np.linspace(-1.5, 1.0, 6)
    found = parabola(log_n, least + bend * (log_n - middle) ** 2, 1e20)
    assert np.log(found.n_params) == pytest.approx(middle, abs=1e-6)
    assert found.loss == pytest.approx(least)
    assert not found.reason


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        ([3.0, 2.9, 2.7, 2.4, 2.0], "do not bend upwards"),
        ([2.0, 2.1, 2.25, 2.45, 2.7], "below the smallest size; add smaller models"),
        ([2.7, 2.45, 2.25, 2.1, 2.0], "above the largest size; add larger models"),
    ],
)
def test_a_minimum_that_does_not_count_says_why(loss, reason):
    assert reason in parabola(np.arange(5.0), np.array(loss), 1e20).reason


def test_akima_stays_inside_its_points():
    found = akima(np.arange(5.0), np.array([2.7, 2.45, 2.25, 2.1, 2.0]), 1e20)
    assert found.reason == "the least loss is at the largest size"


@pytest.mark.parametrize("curve", ["parabola", "akima"])
def test_power_laws_pass_through_the_optima(curve):
    found = isoflop(simulated.isoflops(n_sizes=15, half=2.0), curve=curve)
    assert found.size.slope == pytest.approx(0.37 / 0.72, abs=2e-3)
    assert found.size(1e19) == pytest.approx(simulated.best_size(1e19), rel=0.02)


def test_budgets_without_names_are_found_by_their_gaps():
    m = simulated.isoflops()
    columns = {k: v for k, v in m.to_columns().items() if k != "budget"}
    assert [len(b.rows) for b in budgets(Measurements.from_columns(columns))] == [5] * 4


def test_runs_that_fill_the_compute_without_gaps_are_no_single_budget():
    # Horizons that are epochs: each within 10 % of the next, tenfold in all.
    log_c = np.log(np.geomspace(1e18, 1e19, 60))
    parts = alike(log_c)
    assert max(np.ptp(log_c[rows]) for rows in parts) <= np.log(1.5)
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(60))


def test_a_minimum_that_is_no_loss_does_not_count():
    found = akima(np.arange(6.0), np.array([1.0, 0.5, -0.2, -0.1, 0.5, 1.0]), 1e20)
    assert found.reason == "the interpolation's minimum is not positive"


def test_too_few_minima_are_refused_with_every_reason():
    m = simulated.isoflops()
    ones = m.select(m.n_params >= np.median(m.n_params))
    rising = Measurements.from_columns(ones.to_columns() | {"loss": 2 + ones.n_params / 1e12})
    with pytest.raises(RefusalError, match="needs 2 budgets with 3 sizes") as caught:
        isoflop(rising)
    assert caught.value.code == "too_few_budgets"
    assert any("minimum lies below the smallest size" in r for r in caught.value.reasons)


@given(st.floats(0.2, 0.6), st.floats(0.2, 0.6), st.floats(1.5, 20))
def test_the_bias_changes_sign_with_the_exponents(alpha, beta, half):
    # Swapping N and D mirrors the curve; equal exponents leave it symmetric.
    one, two = vertex_bias(alpha, beta, half), vertex_bias(beta, alpha, half)
    assert (1 + one) * (1 + two) == pytest.approx(1, rel=1e-6)
    assert vertex_bias(alpha, alpha, half) == pytest.approx(0, abs=1e-9)


def test_correcting_the_bias_of_the_design_recovers_the_truth():
    m = simulated.isoflops(half=8.0, n_sizes=9)
    found = isoflop(m)
    _, bias = design_bias(m, simulated.TRUTH)
    assert np.expm1(bias) == pytest.approx(vertex_bias(0.35, 0.37, 8.0, 9), abs=1e-6)
    better = corrected(found, m, simulated.TRUTH)
    assert better(1e20) == pytest.approx(simulated.best_size(1e20), rel=1e-6)
