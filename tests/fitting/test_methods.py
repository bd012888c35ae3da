"""Comparison, influence, profile, serving, bootstrap, objectives: one property, one answer, one failure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.bootstrap import choose_scheme, interval, resample
from fitting.compare import compare
from fitting.errors import InputError, RefusalError
from fitting.influence import influence
from fitting.measurements import Measurements
from fitting.objectives import Objective, noise_delta, robust_sd
from fitting.profile import basins, profile
from fitting.rollout import rollout, rollout_points
from fitting.serving import Prices, cheapest, tokens_for
from tests.fitting import simulated

BETTER = {**simulated.TRUTH, "E": 1.7}
STEEPER = {**simulated.TRUTH, "E": 1.6, "A": 800.0, "B": 3500.0}


def test_a_lower_floor_saves_compute_at_equal_loss():
    a = simulated.isoflops(noise=1e-3)
    b = simulated.isoflops(noise=1e-3, seed=1, coefficients=BETTER)
    found = compare(a, b, n_bootstrap=60)
    assert found.loss_ratio[2] < 1
    assert found.compute_ratio[0] < 1
    assert "b is better" in found.verdict()
    at = found.at_flops * found.compute_ratio[0]
    size = simulated.best_size(at, BETTER)
    same = simulated.loss(size, at / 6 / size, BETTER)
    assert same == pytest.approx(found.loss_a[0], rel=3e-3)


def test_recipes_that_cross_cross_where_their_laws_do():
    a = simulated.isoflops(noise=3e-4, n_sizes=9)
    b = simulated.isoflops(noise=3e-4, seed=1, n_sizes=9, coefficients=STEEPER)
    found = compare(a, b, n_bootstrap=60)
    grid = np.geomspace(1e17, 1e25, 2000)
    sizes = [[simulated.best_size(C, c) for C in grid] for c in (simulated.TRUTH, STEEPER)]
    losses = [simulated.loss(np.array(n), grid / 6 / np.array(n), c) for n, c in zip(sizes, (simulated.TRUTH, STEEPER), strict=True)]  # fmt: skip
    truth = grid[np.flatnonzero(np.diff(np.sign(losses[0] - losses[1])))[-1]]
    _, low, high = found.crossing_flops
    assert low < truth < high


def test_equal_recipes_cannot_be_told_apart():
    a, b = (simulated.isoflops(noise=2e-3, seed=s) for s in (0, 1))
    assert "no difference can be told" in compare(a, b, n_bootstrap=60).verdict()


def test_recipes_in_different_units_are_not_compared():
    a = simulated.isoflops()
    b = Measurements.from_columns(a.to_columns(), loss_unit="bits/byte")
    with pytest.raises(InputError, match="share their loss_unit; got 'nats/token' and 'bits/byte'"):
        compare(a, b)


def test_tokenizers_of_one_name_are_told_apart_by_their_fingerprints():
    columns = simulated.isoflops().to_columns()
    n = len(columns["loss"])
    a, b = (
        Measurements.from_columns(
            columns | {"tokenizer": ["bpe"] * n, "tokenizer_fingerprint": [letter * 64] * n}
        )
        for letter in "ab"
    )
    with pytest.raises(InputError, match="both are 'bpe', with the fingerprints aaaaaaaaaaaa and"):
        compare(a, b)
    with pytest.raises(InputError, match="tokenizer_fingerprint must be the same in every row"):
        Measurements.from_columns(columns | {"tokenizer_fingerprint": ["a"] + ["b"] * (n - 1)})


@pytest.mark.parametrize("flops", [-5.0, 0.0, float("nan"), float("inf")])
def test_recipes_are_compared_at_a_compute_that_can_be_meant(flops):
    a = simulated.isoflops()
    with pytest.raises(InputError, match=f"flops must be finite and positive; got {flops}"):
        compare(a, a, flops=flops)


def test_recipes_are_compared_where_it_was_asked_or_not_at_all():
    a = simulated.isoflops(noise=1e-3)
    b = simulated.isoflops(noise=1e-3, seed=1, coefficients=BETTER)
    far = 2e23
    found = compare(a, b, flops=far, n_bootstrap=20)
    assert found.at_flops == far
    size = float(found.fits[0].optimum(far)[0])
    assert found.loss_a[0] == pytest.approx(float(found.fits[0].predict(size, far / 6 / size)), rel=1e-4)  # fmt: skip
    [of_a, of_b] = [n["message"] for n in found.to_dict()["warnings"]]
    assert "2e+23 FLOP lies outside the 1e+18 to 3e+19 that a has measured: its loss" in of_a
    assert "that b has measured" in of_b
    assert not compare(a, b, flops=1e19, n_bootstrap=20).warnings
    with pytest.raises(RefusalError, match=r"1e\+40 FLOP lies outside the .* no fit is supported"):
        compare(a, b, flops=1e40)


def test_recipes_measured_at_different_compute_say_so():
    a = simulated.isoflops(noise=1e-3)
    b = simulated.isoflops(noise=1e-3, budgets=np.geomspace(1e22, 3e23, 4), coefficients=BETTER)
    found = compare(a, b, n_bootstrap=20)
    [note] = found.warnings
    assert "3e+19 FLOP lies outside the 1e+22 to 3e+23 that b has measured" in note.message
    assert "0.00" not in found.verdict()


def test_the_bad_run_has_the_largest_influence():
    m = simulated.grid(noise=1e-3)
    loss = m.loss.copy()
    loss[3] *= 1.2
    bad = Measurements.from_columns(m.to_columns() | {"loss": loss})
    first = influence(bad, 1e22, objective=Objective(name="log_mse"))[0]
    assert first.label == "4"
    assert first.residual > 0.05


def test_influence_by_group_needs_groups():
    with pytest.raises(InputError, match="influence by group needs a column `group`"):
        influence(simulated.grid(), 1e22, by_group=True)
    rows = influence(simulated.trunks(noise=2e-3), 1e21, by_group=True)
    assert len(rows) == 6


def test_a_profile_is_lowest_at_the_fit_and_identified():
    m = simulated.grid(noise=3e-3, seed=1)
    found = profile(m, "alpha", np.linspace(0.33, 0.37, 41), objective=Objective(delta=3e-3))
    assert found.identified
    assert found.interval[0] < 0.35 < found.interval[1]
    assert found.rise.min() < 0.5


def test_a_profile_needs_a_coefficient_of_its_own():
    with pytest.raises(InputError, match="A has no profile of its own"):
        profile(simulated.grid(), "A", np.array([100.0, 200.0]))
    with pytest.raises(InputError, match="Z is not a free coefficient"):
        profile(simulated.grid(), "Z", np.array([1.0, 2.0]))


def test_clean_data_have_one_basin():
    assert (
        len(basins(simulated.grid(noise=1e-3), objective=Objective(delta=3e-3), n_starts=40)) == 1
    )


@given(st.floats(1.95, 2.6), st.floats(0, 1e13))
def test_no_other_size_reaches_the_loss_for_less(loss, served):
    best = cheapest(simulated.TRUTH, loss=loss, output_tokens=served)
    for factor in (0.9, 1.1):
        N = best.n_params * factor
        cost = N * (6 * tokens_for(simulated.TRUTH, N, loss) + 2 * served)
        assert cost >= best.flops * (1 - 1e-9)


def test_dear_serving_makes_the_model_smaller():
    cheap, dear = (
        cheapest(simulated.TRUTH, loss=2.1, output_tokens=1e12, prices=Prices(output=p))
        for p in (1.0, 10.0)
    )
    assert dear.n_params < cheap.n_params
    assert dear.n_tokens > cheap.n_tokens


def test_a_loss_below_the_floor_is_refused():
    with pytest.raises(
        RefusalError, match=r"no model reaches a loss of 1.7: the law's floor E is 1.8"
    ):
        cheapest(simulated.TRUTH, loss=1.7)
    with pytest.raises(InputError, match="tokens to serve must not be negative; got -1"):
        cheapest(simulated.TRUTH, loss=2.0, output_tokens=-1)


@given(st.floats(-1, 1), st.floats(1e-4, 1), st.sampled_from(["huber", "lad", "log_mse"]))
def test_the_slope_is_the_derivative_of_the_value(r, delta, name):
    goal, y = Objective(name=name, delta=delta), np.zeros(1)
    low, mid, high = (goal.terms(np.array([r + h]), y, delta) for h in (-1e-7, 0, 1e-7))
    numeric = (high[0] - low[0]) / 2e-7
    scale = 1 if name != "log_mse" else delta
    assert mid[1] * scale == pytest.approx(numeric * scale * (delta if name == "log_mse" else 1), rel=1e-3, abs=1e-3)  # fmt: skip


def test_robust_scatter_is_the_deviation_of_a_normal():
    r = np.random.default_rng(0).normal(0, 0.01, 20_000)
    r[:100] = 5.0
    assert robust_sd(r) == pytest.approx(0.01, rel=0.03)
    assert noise_delta(r) == pytest.approx(0.01345, rel=0.03)


@pytest.mark.parametrize(
    ("n", "clusters", "scheme"),
    [(240, None, "pairs"), (20, None, "parametric"), (24, 6, "parametric"), (120, 30, "pairs")],
)
def test_few_clusters_are_not_drawn_with_replacement(n, clusters, scheme):
    labels = None if clusters is None else np.array([str(i % clusters) for i in range(n)])
    assert choose_scheme(n, labels) == scheme


def test_pairs_draw_whole_clusters():
    labels = np.repeat([f"run {i}" for i in range(10)], 3)
    y = np.arange(30.0)
    drawn = resample(y, y, n=50, jacobian=np.ones((1, 30)), clusters=labels, scheme="pairs")
    assert (drawn.weights.reshape(50, 10, 3) == drawn.weights.reshape(50, 10, 3)[:, :, :1]).all()
    assert (drawn.weights.sum(axis=1) == 30).all()


def test_wild_signs_are_common_to_a_cluster_and_keep_the_variance():
    labels = np.repeat([f"run {i}" for i in range(10)], 3)
    rng = np.random.default_rng(0)
    y = rng.normal(size=30)
    drawn = resample(
        y, np.zeros(30), n=4000, jacobian=np.ones((1, 30)), clusters=labels, scheme="wild"
    )
    ratio = (drawn.y / y).reshape(4000, 10, 3)
    np.testing.assert_allclose(ratio, np.repeat(ratio[:, :, :1], 3, axis=2))
    assert ratio.var() == pytest.approx(30 / 29, rel=0.03)


def test_parametric_errors_count_what_the_fit_absorbed():
    # Four coefficients per ten points: the residuals' own scatter is sqrt(6/10) of the errors'.
    rng = np.random.default_rng(1)
    X = rng.normal(size=(4, 10))
    sizes = []
    for k in range(300):
        y = rng.normal(size=10)
        fitted = X.T @ np.linalg.lstsq(X.T, y, rcond=None)[0]
        drawn = resample(y, fitted, n=20, jacobian=X, scheme="parametric", seed=k)
        sizes.append(np.median((drawn.y - fitted) ** 2))
    assert np.median(sizes) == pytest.approx(0.48, rel=0.2)  # that of chi-squared(1) is .455


def test_a_scheme_without_a_name_is_refused():
    with pytest.raises(
        InputError, match="scheme must be one of pairs, wild, parametric; got 'magic'"
    ):
        resample(np.ones(3), np.ones(3), n=2, jacobian=np.ones((1, 3)), scheme="magic")
    with pytest.raises(InputError, match="n_bootstrap must be at least 1; got 0"):
        resample(np.ones(3), np.ones(3), n=0, jacobian=np.ones((1, 3)))


@given(st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=50))
def test_an_interval_lies_within_its_samples(values):
    low, high = interval(np.array(values))
    assert min(values) <= low <= high <= max(values)


def test_a_rollout_needs_budgets():
    m = simulated.isoflops(budgets=np.array([1e18, 3e18]))
    with pytest.raises(RefusalError, match="a rollout needs 3 budgets; got 2"):
        rollout(m, lambda _: lambda _: (0.0, 0.0))


def test_a_perfect_method_has_no_rollout_error():
    m = simulated.isoflops(n_sizes=15, half=1.5)

    def truth(_):
        def at(C):
            n = simulated.best_size(C)
            return np.log(n), float(np.log(simulated.loss(n, C / 6 / n)))

        return at

    found = rollout(m, truth)
    assert len(found.held_out) == 3  # the largest, then the two largest
    assert found.rms < 1e-4
    assert found.error_at(2.0) == pytest.approx(2 * found.error_at(1.0))


@pytest.mark.parametrize("factor", [0.35, 1.03, 1.2])
def test_budgets_are_held_out_by_their_names_whatever_compute_is_counted(factor):
    m = simulated.isoflops(n_sizes=5)
    m = Measurements.from_columns(m.to_columns() | {"flops": list(m.budget_flops * factor)})
    asked = []

    def method(seen):
        asked.append(len(seen))
        return lambda _: (0.0, 0.0)

    rollout(m, method)
    assert asked == [15, 10]  # without the largest of four budgets, then without two


def test_without_budgets_the_largest_fifth_is_held_out():
    m = simulated.grid()
    found = rollout_points(m, lambda _, held: np.log(held.loss * 1.01))
    assert found.rms == pytest.approx(np.log(1.01))
