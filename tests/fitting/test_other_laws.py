"""Laws beside L(N, D): loss curves, downstream scores, mixtures of experts, learning rates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.curves import fit_curve
from fitting.downstream import fit_error, fit_sigmoid
from fitting.errors import InputError, RefusalError
from fitting.hyperparameters import hyper_law
from fitting.moe import MoeLaw, fit_moe, saturated

T = 2000
COSINE = 1e-3 * (0.55 + 0.45 * np.cos(np.linspace(0, np.pi, T)))
WSD = np.where(np.arange(T) < 1600, 1e-3, 1e-3 * (1 - np.sqrt((np.arange(T) - 1599).clip(0) / 401)))


def curve(rates, gain=0.3, decay=0.999):
    """L0 2.5, A .4, alpha .5 of Tissue's law, by the definition's double sum."""
    drop = np.maximum(-np.diff(rates, prepend=rates[0]), 0)
    momentum = np.array([np.sum(drop[: i + 1] * decay ** np.arange(i, -1, -1)) for i in range(T)])
    return 2.5 + 0.4 * np.cumsum(rates) ** -0.5 - gain * np.cumsum(momentum)


def test_one_schedule_predicts_the_end_of_another():
    steps = np.arange(100, T + 1, 20)
    law = fit_curve(COSINE, steps, curve(COSINE)[steps - 1])
    assert (law.L0, law.A, law.alpha) == pytest.approx((2.5, 0.4, 0.5), rel=1e-4)
    assert law.predict(WSD, [T])[0] == pytest.approx(curve(WSD)[-1], rel=1e-4)


@settings(max_examples=10)
@given(st.integers(600, 1500))
def test_a_partial_run_at_constant_rate_predicts_its_own_trunk(cut):
    rates = np.full(T, 1e-3)
    steps = np.arange(50, cut, 25)
    law = fit_curve(rates, steps, curve(rates)[steps - 1])
    assert law.annealing is None
    assert law.predict(rates, [T])[0] == pytest.approx(curve(rates)[-1], rel=1e-4)
    with pytest.raises(RefusalError, match="has no annealing, so what it gains is unknown"):
        law.predict(WSD, [T])


def test_bad_curves_are_named():
    with pytest.raises(InputError, match="lie within the 5 rates; got"):
        fit_curve(np.ones(5), np.array([9]), np.array([1.0]))
    with pytest.raises(RefusalError, match="a loss curve needs 8 observations; got 1"):
        fit_curve(np.ones(5), np.array([3]), np.array([1.0]))
    with pytest.raises(InputError, match="loss must be finite"):
        fit_curve(np.ones(5), np.array([3]), np.array([np.nan]))


@settings(max_examples=15)
@given(st.floats(0.2, 0.7), st.floats(0.1, 0.3), st.floats(2, 12), st.floats(0.8, 1.2))
def test_a_sigmoid_is_recovered_as_far_as_it_was_seen(a, b, k, middle):
    L = np.linspace(0.5, 1.5, 25)
    y = a / (1 + np.exp(k * (L - middle))) + b
    found = fit_sigmoid(L, y)
    np.testing.assert_allclose(found.accuracy(L), y, atol=2e-3)
    assert found.k < 0


def test_gadres_error_law_is_recovered():
    L = np.linspace(2, 4, 15)
    found = fit_error(L, 0.85 - 2.1 * np.exp(-0.75 * L))
    assert (found.eps, found.k, found.gamma) == pytest.approx((0.85, 2.1, 0.75), rel=1e-4)
    assert found.error(3.0) == pytest.approx(0.85 - 2.1 * np.exp(-2.25))


def test_scores_that_cannot_be_fitted_are_refused():
    with pytest.raises(RefusalError, match="needs 6 pairs of loss and score; got 3 and 3"):
        fit_sigmoid(np.ones(3), np.ones(3))
    with pytest.raises(RefusalError, match="all losses or all scores are equal"):
        fit_error(np.arange(9.0), np.ones(9))


def test_a_moe_law_is_recovered_and_experts_are_worth_parameters():
    # Of the size of Clark et al. 2022, table 3 (S-BASE): a -.082, b -.108, c .009, d 1.104.
    truth = MoeLaw(a=-0.082, b=-0.108, c=0.009, d=1.104, e_start=1.8, e_max=314, residual_sd=0)
    N, E = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, 5), [1, 2, 4, 8, 32, 128, 512]))
    found = fit_moe({"n_params": N, "n_experts": E, "loss": truth.loss(N, E)})
    np.testing.assert_allclose(found.loss(1e10, [1, 64]), truth.loss(1e10, [1, 64]), rtol=1e-4)
    assert found.effective_params(1e8, 64) > 3e8
    assert found.effective_params(1e8, 1) == pytest.approx(1e8, rel=1e-6)


@given(st.floats(0.5, 5), st.floats(50, 1e4), st.floats(1, 1e4))
def test_saturation_starts_at_e_start_and_ends_at_e_max(start, most, E):
    assert saturated(1, start, most) == pytest.approx(start)
    assert saturated(E, start, most) < most


def test_a_moe_law_needs_sizes_and_experts():
    with pytest.raises(
        RefusalError, match="needs 10 runs over 3 sizes and 3 expert counts; got 12, 1 and 12"
    ):
        fit_moe({"n_params": np.ones(12), "n_experts": np.arange(1, 13), "loss": np.ones(12)})


def cells(noise=0.0):
    rng = np.random.default_rng(0)
    rows = []
    for N in (1e8, 3e8, 1e9):
        for D in (1e9, 1e10, 1e11):
            best_lr, best_batch = 1.79 * N**-0.713 * D**0.307, 0.58 * D**0.571
            for f in np.geomspace(1 / 8, 8, 9):
                for g in np.geomspace(1 / 8, 8, 9):
                    loss = 3 * (1 + 3e-3 * np.log(f) ** 2 + 2e-3 * np.log(g) ** 2)
                    rows.append(
                        (N, D, best_lr * f, best_batch * g, loss * np.exp(noise * rng.normal()))
                    )
    return dict(
        zip(("n_params", "n_tokens", "lr", "batch_tokens", "loss"), np.array(rows).T, strict=True)
    )


@pytest.mark.parametrize("method", ["best", "paraboloid"])
def test_learning_rate_and_batch_laws_are_recovered(method):
    found = hyper_law(cells(), method=method, n_bootstrap=20)
    expected = {"lr_k": 1.79, "lr_n": -0.713, "lr_d": 0.307, "batch_k": 0.58, "batch_d": 0.571}
    assert found.coefficients == pytest.approx(expected, rel=1e-6)
    assert found.lr(1e9, 1e10) == pytest.approx(1.79 * 1e9**-0.713 * 1e10**0.307)
    assert found.batch_tokens(1e10) == pytest.approx(0.58 * 1e10**0.571)


def test_few_cells_have_intervals_that_hold_the_truth_and_are_numbers():
    rng = np.random.default_rng(3)
    few = {k: v[: 5 * 81] for k, v in cells().items()}  # two sizes, one of them on two horizons
    cell = np.repeat(np.arange(5), 81)
    few["lr"] = few["lr"] * np.exp(0.1 * rng.standard_normal(5))[cell]
    found = hyper_law(few, n_bootstrap=200)
    for name, truth in (("lr_n", -0.713), ("lr_d", 0.307), ("batch_d", 0.571)):
        low, high = found.intervals[name]
        assert low - 1e-9 <= truth <= high + 1e-9
        assert high - low < 1
    assert all(np.isfinite(v).all() for v in found.intervals.values())
    assert hyper_law(few, n_bootstrap=0).intervals == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_bootstrap": -1}, "n_bootstrap must be 0 or at least 2; got -1"),
        ({"n_bootstrap": 1}, "n_bootstrap must be 0 or at least 2; got 1"),
        ({"seed": -2}, "seed must not be negative; got -2"),
    ],
)
def test_resamples_of_cells_that_cannot_be_meant_are_named(options, message):
    with pytest.raises(InputError, match=message):
        hyper_law(cells(), **options)


def test_cells_without_an_optimum_inside_are_refused_with_reasons():
    one = {k: v[:81] for k, v in cells().items()}
    with pytest.raises(RefusalError, match=r"need 4 combinations of N and D .*; 1 have one"):
        hyper_law(one)
    few = {k: v[:5] for k, v in cells().items()}
    with pytest.raises(RefusalError) as caught:
        hyper_law(few, method="paraboloid")
    assert "runs near the best" in caught.value.reasons[0]
