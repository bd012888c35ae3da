"""What every law owes the optimiser, whatever its form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.errors import InputError
from fitting.laws.numeric import numeric_curvature, numeric_log_optimum
from fitting.laws.protocol import ORIGIN, Points
from fitting.laws.registry import LAWS, law_named
from tests.fitting import simulated

EVERY = pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)


def setting(law, seed=0):
    """Points with repeated data, and three parameter vectors near the law's own starts."""
    m = simulated.grid(n=5)
    x, y = Points.of(m), np.log(m.loss)
    x = Points(n=x.n, d=x.d, u=x.d - np.linspace(0, 3, len(m)), centre=x.centre)
    rng = np.random.default_rng(seed)
    starts = law.starts(x, y)
    theta = starts[rng.integers(len(starts), size=3)] * 1.01 + 0.003
    return x, np.clip(theta, *law.bounds(x, y)), rng


@EVERY
@given(st.integers(0, 50))
def test_the_jacobian_is_the_derivative(law, seed):
    x, theta, _ = setting(law, seed)
    _, J = law.log_loss(theta, x)
    for p in range(theta.shape[1]):
        step = np.zeros(theta.shape[1])
        step[p] = 1e-6
        numeric = (law.log_loss(theta + step, x)[0] - law.log_loss(theta - step, x)[0]) / 2e-6
        np.testing.assert_allclose(J[:, p], numeric, atol=2e-6)


@EVERY
def test_the_curvature_is_the_second_derivative(law):
    x, theta, rng = setting(law)
    slope = rng.normal(size=(3, len(x.n)))
    H = law.curvature(theta, x, slope)
    np.testing.assert_allclose(H, numeric_curvature(law, theta, x, slope), atol=1e-5)


@EVERY
@given(st.integers(0, 50))
def test_published_coefficients_predict_what_centred_parameters_do(law, seed):
    x, theta, _ = setting(law, seed)
    free = law.theta(law.coefficients(theta, x.centre), ORIGIN)
    raw = Points(n=x.n + x.centre.log_n, d=x.d + x.centre.log_d, u=x.u + x.centre.log_d)
    np.testing.assert_allclose(law.log_loss(free, raw)[0], law.log_loss(theta, x)[0], atol=1e-7)


@pytest.mark.parametrize("name", ["chinchilla", "gadre"])
@given(st.floats(17, 26))
def test_the_closed_optimum_is_the_numeric_one(name, exponent):
    law = law_named(name)
    c = {
        "E": 1.8,
        "A": 480,
        "B": 2100,
        "alpha": 0.35,
        "beta": 0.37,
        "eta": -0.35,
    }
    theta = law.theta({k: np.array([float(c[k])]) for k in law.names}, ORIGIN)
    C = np.array([10.0**exponent])
    assert law.log_optimum(theta, C)[0, 0] == pytest.approx(
        numeric_log_optimum(law, theta, C)[0, 0], abs=1e-5
    )


def test_a_symmetric_law_splits_compute_evenly():
    law = law_named("chinchilla")
    c = {"E": 1.7, "A": 400.0, "B": 400.0, "alpha": 0.3, "beta": 0.3}
    theta = law.theta({k: np.array([v]) for k, v in c.items()}, ORIGIN)
    assert np.exp(law.log_optimum(theta, np.array([6e20]))[0, 0]) == pytest.approx(1e10)


def test_kaplans_law_at_his_own_constants():
    # arXiv:2001.08361 eq. 1.5 by hand: N = Nc leaves (1 + Dc/D)^alpha_D.
    law = law_named("kaplan")
    c = {"Nc": 6.4e13, "Dc": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}
    theta = law.theta({k: np.array([v]) for k, v in c.items()}, ORIGIN)
    f = law.log_loss(theta, Points.at(6.4e13, 1.8e13))[0][0, 0]
    assert np.exp(f) == pytest.approx(2**0.103)


def test_without_repetition_muennighoffs_law_is_the_additive_one():
    many = {"E": 1.9, "A": 520.0, "B": 1480.0, "alpha": 0.35}
    m, a = law_named("muennighoff"), law_named("chinchilla")
    # Enough data for every size: N stays below N*(U), so no parameter is in excess.
    x = Points.at(np.array([1e7, 1e8]), np.array([1e11, 1e12]))
    one = m.theta({k: np.array([v]) for k, v in {**many, "R_D": 15.0, "R_N": 5.0}.items()}, ORIGIN)
    two = a.theta({k: np.array([v]) for k, v in {**many, "beta": 0.35}.items()}, ORIGIN)
    np.testing.assert_allclose(m.log_loss(one, x)[0], a.log_loss(two, x)[0], rtol=1e-12)


def test_an_unknown_law_is_named():
    with pytest.raises(InputError, match=r"law must be one of chinchilla, .*; got 'mystery'"):
        law_named("mystery")


@EVERY
def test_coefficients_stay_numbers_on_the_limits_of_the_search(law):
    m = simulated.grid(n=5)
    x = Points.of(m)
    corners = law.bounds(x, np.log(m.loss))
    for name, values in law.coefficients(corners, x.centre).items():
        assert np.isfinite(values).all(), name


def test_a_law_that_falls_again_far_from_any_data_keeps_its_optimum():
    # Fitted to a sweep of 42 runs up to 1.2e10 parameters; beyond 1e15 its loss falls below the optimum's.
    c = {"s": 39.8, "q": -0.245, "S": 0.521, "B": -1.37e-5, "beta": 0.482, "Q": 7.93, "A": -1.5e-6, "alpha": 0.491, "E": -0.968}  # fmt: skip
    law = law_named("farseer")
    theta = law.theta({k: np.array([v]) for k, v in c.items()}, ORIGIN)
    best = np.exp(law.log_optimum(theta, np.array([1e21])))[0, 0]

    def loss(n):
        return float(np.exp(law.log_loss(theta, Points.at(n, 1e21 / 6 / n))[0][0, 0]))

    assert loss(1e16) < loss(best)
    assert best == pytest.approx(2.64e9, rel=0.01)
    assert loss(best) < min(loss(0.9 * best), loss(1.1 * best))
