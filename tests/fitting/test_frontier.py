"""The valley with a floor: what it recovers, what it agrees with, and when its floor is held."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.errors import RefusalError
from fitting.fit import fit
from fitting.laws.frontier import Frontier
from fitting.laws.protocol import ORIGIN, Points
from fitting.measurements import Measurements
from tests.fitting import simulated

BUDGETS = np.geomspace(1e11, 3e12, 5)


def measured(coefficients, budgets=BUDGETS, n_sizes=6):
    law = Frontier()
    theta = law.theta({k: np.array([v]) for k, v in coefficients.items()}, ORIGIN)
    best = np.exp(law.log_optimum(theta, budgets)[0])
    N = (best[:, None] * np.geomspace(1 / 4, 4, n_sizes)).ravel()
    C = np.repeat(budgets, n_sizes)
    L = np.exp(law.log_loss(theta, Points.at(N, C / 6 / N))[0][0])
    return Measurements.from_columns({"n_params": N, "n_tokens": C / 6 / N, "loss": L, "budget": C})


@settings(max_examples=15)
@given(st.floats(0.3, 1.4), st.floats(0.08, 0.3), st.floats(0.35, 0.65))
def test_it_recovers_its_own_floor_slope_and_exponent(E, s, a):
    L0 = 1.0 / (3e11 / 6) ** -s
    G = 5e4 / (3e11 / 6) ** a
    truth = {"E": E, "L0": L0, "s": s, "G": G, "a": a, "curvature": 0.1, "skew": 0.005}
    found = fit(measured(truth), law="frontier", delta="mad").coefficients
    assert found["E"] == pytest.approx(E, rel=0.02)
    assert found["s"] == pytest.approx(s, rel=0.02)
    assert found["a"] == pytest.approx(a, abs=2e-3)


def test_on_the_additive_law_it_finds_the_floor():
    # the frontier of L = E + A N^-alpha + B D^-beta is E + const C^-s, s = alpha beta/(alpha + beta)
    m = simulated.isoflops(noise=0.0, n_sizes=7)
    found = fit(m, law="frontier", delta="mad")
    truth = fit(m, law="chinchilla", delta="mad")
    assert found.coefficients["E"] == pytest.approx(simulated.TRUTH["E"], rel=0.05)
    far = 100 * float(m.flops.max())
    assert found.predict(*found.optimum(far)) == pytest.approx(
        truth.predict(*truth.optimum(far)), rel=0.01
    )


def test_a_pure_power_law_has_no_floor():
    truth = {"E": 0.0, "L0": 20.0, "s": 0.09, "G": 0.05, "a": 0.55, "curvature": 0.05, "skew": 0.0}
    assert fit(measured(truth), law="frontier", delta="mad").coefficients["E"] < 0.05


def test_two_budgets_tell_nothing_of_a_floor():
    truth = {"E": 1.0, "L0": 20.0, "s": 0.12, "G": 0.05, "a": 0.55, "curvature": 0.1, "skew": 0.0}
    found = fit(measured(truth, BUDGETS[:2]), law="frontier", delta="mad")
    assert found.coefficients["E"] == 0
    assert "E" in found.diagnostics["fixed"]


def test_one_budget_tells_nothing_of_the_exponent():
    m = simulated.isoflops(noise=1e-3, n_sizes=9, budgets=np.array([1e19]))
    with pytest.raises(RefusalError, match=r"the valley needs 2 budgets, .*; got 1 \(add runs"):
        fit(m, law="frontier", delta="mad")


def test_seven_coefficients_need_more_than_seven_points():
    m = measured({"E": 1.0, "L0": 20.0, "s": 0.12, "G": 0.05, "a": 0.55, "curvature": 0.1, "skew": 0.0},
                 BUDGETS[:2], 3)  # fmt: skip
    with pytest.raises(RefusalError, match="7 coefficients need at least 8 measurements; got 6"):
        fit(m, law="frontier", delta="mad")
