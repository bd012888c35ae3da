"""Figures of the laws: the numbers that are drawn, and that all of them are drawn with units."""

import numpy as np
import pytest

from fitting.analysis import analyse
from fitting.calibration import calibration
from fitting.compare import compare
from fitting.fit import fit
from fitting.isoflop import isoflop as find_minima
from fitting.profile import profile as find_profile
from reports import (
    allocation,
    cloud,
    comparison,
    contours,
    frontier,
    isoflop,
    profile,
    residuals,
    rollout,
    style,
)
from reports import (
    calibration as held,
)
from tests.fitting import simulated

M = simulated.isoflops(noise=1e-3)


@pytest.fixture(scope="module")
def analysis():
    return analyse(M, n_bootstrap=40)


@pytest.fixture(scope="module")
def fitted():
    return fit(M, n_bootstrap=40)


def test_an_isoflop_figure_has_a_curve_and_a_minimum_per_budget():
    found = isoflop.curves(M, find_minima(M))
    assert [c.flops for c in found] == pytest.approx(simulated.BUDGETS)
    for c in found:
        assert c.minimum[1] <= c.fitted[:, 1].min() + 1e-9
        assert len(c.measured) == 5
    ax = isoflop.plot(found)
    assert len(ax.get_legend().get_texts()) == 4
    assert "nats/token" in ax.get_ylabel()


def test_a_budget_without_a_minimum_is_dotted_and_explained():
    small = simulated.isoflops(n_sizes=9, half=4.0)
    off = small.n_params > 1.2 * simulated.best_size(1e18)
    m = small.select((small.budget_flops > 1.1e18) | off)
    found = isoflop.curves(m, find_minima(m))
    assert found[0].minimum is None
    assert "smallest size" in found[0].reason
    assert "no minimum" in isoflop.plot(found).get_title(loc="right")


def test_the_frontier_shows_every_approach_and_the_forecast(analysis):
    found = frontier.curves(analysis, target=3e20, outcome=(3e20, 2.3))
    C, L, low, high = found.prediction
    assert (C, low < L < high) == (3e20, True)
    assert set(found.approaches) == {str(k) for k in analysis.approaches}
    assert (found.low <= found.high).all()
    texts = [t.get_text() for t in frontier.plot(found).get_legend().get_texts()]
    assert "final run" in texts
    assert "forecast, 90 %" in texts
    assert sum("trusted" in t for t in texts) == 1


def test_the_allocation_spends_every_budget(analysis):
    found = allocation.curves(analysis, final=(3e20, 1e9))
    left, right = allocation.plot(found)
    trusted = found.sizes[found.trusted]
    assert (found.low <= trusted).mean() > 0.9
    assert "N*" in left.get_ylabel()
    assert "D*" in right.get_ylabel()


def test_the_ridge_of_the_contours_is_the_optimum(fitted):
    found = contours.curves(fitted, M)
    for N, D in found.ridge[::20]:
        assert fitted.optimum(6 * N * D)[0] == pytest.approx(N)
    assert contours.plot(found).get_title() == "Loss (nats/token)"


def test_residuals_are_per_cent_of_the_loss(fitted):
    found = residuals.curves(fitted, M)
    assert np.abs(found.percent).max() < 1
    assert found.percent.std() == pytest.approx(0.1, rel=0.5)
    panels = residuals.plot(found)
    assert [p.get_xlabel() for p in panels][2] == "Compute C (FLOP)"


def test_a_profile_says_what_is_identified():
    found = profile.curves(find_profile(M, "alpha", np.linspace(0.25, 0.45, 7)))
    title = profile.plot(found).get_title(loc="left")
    assert title.startswith("alpha: 90 %")


def test_a_rollout_figure_has_a_line_per_tested_approach(analysis):
    found = rollout.curves(analysis)
    assert set(found.by_approach) == {str(k) for k in analysis.rollouts}
    assert (np.diff(found.by_approach["frontier"][:, 0]) >= 0).all()
    assert len(rollout.plot(found).get_legend().get_texts()) == len(found.by_approach)


def test_the_line_of_a_rollout_joins_the_means_of_equal_distances():
    found = rollout.means(np.array([[2.0, -1.0], [2.0004, 3.0], [4.0, 5.0]]))
    np.testing.assert_allclose(found, [[2.0002, 1.0], [4.0, 5.0]])


def test_the_cloud_is_the_samples(fitted):
    found = cloud.curves(fitted, 1e21)
    np.testing.assert_array_equal(found.coefficients[:, 0], fitted.samples["alpha"])
    left, right = cloud.plot(found)
    assert left.get_title(loc="left") == "40 resamples"
    assert "N*" in right.get_xlabel()


def test_the_calibration_counts_what_held():
    trials = calibration(M, n_bootstrap=30)
    found = held.curves(trials)
    assert found.n_held == sum(t.held for t in trials)
    assert (
        held.plot(found).get_title(loc="left") == f"{found.n_held} of 1 within their 90 % interval"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(3e19, "3·10$^{19}$"), (1e12, "10$^{12}$"), (2.15e11, "2.1·10$^{11}$")],
)
def test_powers_read_well(value, text):
    assert style.power(value) in {text, text.replace("2.1", "2.2")}


def test_counts_read_well():
    assert [style.compact(v) for v in (950, 2e4, 7e10, 1.4e12)] == ["950", "20k", "70B", "1.4T"]


def test_two_recipes_are_drawn_with_their_bands_and_their_crossing():
    steeper = {**simulated.TRUTH, "E": 1.5, "A": 2 * simulated.TRUTH["A"]}
    other = simulated.isoflops(noise=1e-3, coefficients=steeper)
    c = compare(M, other, n_bootstrap=40)
    found = comparison.curves(c, M, other, ("one", "two"))
    assert found.grid.max() <= 10 * M.flops.max()
    for recipe, m in zip(found.recipes, (M, other), strict=True):
        assert len(recipe.runs) == len(m)
        assert ((recipe.low <= recipe.loss) & (recipe.loss <= recipe.high)).all()
    ax = comparison.plot(found)
    assert found.grid[0] < found.crossing < found.grid[-1]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["one", "two", "they cross"]
    assert "nats/token" in ax.get_ylabel()


def test_a_recipe_whose_file_begins_with_an_underscore_is_in_the_legend():
    found = comparison.curves(compare(M, M, n_bootstrap=40), M, M, ("one", "_two"))
    shown = [t.get_text() for t in comparison.plot(found).get_legend().get_texts()]
    assert shown[:2] == ["one", "two"]
