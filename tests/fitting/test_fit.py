"""A fit recovers what is there, is not moved by one bad run, and refuses the rest."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.errors import InputError, RefusalError
from fitting.fit import Fit, fit
from fitting.measurements import Measurements
from fitting.objectives import NAMES
from tests.fitting import simulated

truths = st.fixed_dictionaries(
    {
        "E": st.floats(1, 2.5),
        "A": st.floats(200, 2e3),
        "B": st.floats(200, 5e3),
        "alpha": st.floats(0.25, 0.5),
        "beta": st.floats(0.25, 0.5),
    }
)


@settings(max_examples=10)
@given(truths, st.sampled_from(NAMES))
def test_a_fit_inverts_the_loss_on_noiseless_data(truth, objective):
    m = simulated.grid()
    m = Measurements.from_columns(
        m.to_columns() | {"loss": simulated.loss(m.n_params, m.n_tokens, truth)}
    )
    found = fit(m, objective=objective)
    # Predictions, not coefficients: E, A and alpha trade off where one term is small.
    np.testing.assert_allclose(found.predict(m.n_params, m.n_tokens), m.loss, rtol=1e-5)
    assert found.optimum(1e22)[0] == pytest.approx(simulated.best_size(1e22, truth), rel=1e-3)


@pytest.mark.parametrize("law", ["chinchilla", "kaplan", "farseer", "gadre", "frontier"])
def test_every_law_fits_its_own_predictions(law):
    m = simulated.isoflops(noise=2e-3)
    once = fit(m, law=law, delta="mad")
    m2 = Measurements.from_columns(m.to_columns() | {"loss": once.predict(m.n_params, m.n_tokens)})
    twice = fit(m2, law=law, objective="log_mse")
    np.testing.assert_allclose(twice.predict(m.n_params, m.n_tokens), m2.loss, rtol=1e-4)


def test_data_without_scatter_have_resamples():
    # Residuals are rounding errors, and so are the gradients: relative to them nothing converges.
    found = fit(simulated.isoflops(n_sizes=7, half=4.0), delta="mad", n_bootstrap=20)
    assert found.diagnostics["converged"]
    assert found.diagnostics["n_bootstrap_failed"] == 0
    assert found.coefficients["alpha"] == pytest.approx(simulated.TRUTH["alpha"])


def test_one_bad_run_does_not_move_the_extrapolation():
    m = simulated.grid()
    loss = m.loss.copy()
    loss[7] *= 1.5
    bad = Measurements.from_columns(m.to_columns() | {"loss": loss})
    truth = simulated.loss(7e10, 1.4e12)
    assert fit(bad).predict(7e10, 1.4e12) == pytest.approx(truth, rel=2e-3)
    assert abs(fit(bad, objective="mse").predict(7e10, 1.4e12) / truth - 1) > 5e-3


def test_an_under_tuned_run_only_counts_from_one_side():
    m = simulated.grid()
    loss = m.loss.copy()
    loss[::5] *= 1.1  # so many that a robust objective alone would follow them
    columns = m.to_columns() | {"loss": loss, "censored": [i % 5 == 0 for i in range(len(m))]}
    found = fit(Measurements.from_columns(columns), objective="log_mse")
    np.testing.assert_allclose(found.predict(m.n_params, m.n_tokens), m.loss, rtol=1e-4)


def test_a_badly_evaluated_run_weighs_less():
    m = simulated.grid()
    loss, se = m.loss.copy(), np.full(len(m), 1e-4)
    loss[7] *= 1.05
    se[7] = 1.0
    m2 = Measurements.from_columns(m.to_columns() | {"loss": loss, "loss_se": se})
    found = fit(m2, objective="log_mse")
    np.testing.assert_allclose(found.predict(m.n_params, m.n_tokens), m.loss, rtol=1e-4)


def test_known_coefficients_stay_as_they_are():
    found = fit(simulated.grid(noise=0.01), fixed={"A": 480.0, "alpha": 0.35})
    assert found.coefficients["A"] == pytest.approx(480)
    assert found.coefficients["alpha"] == pytest.approx(0.35)
    assert found.standard_errors["alpha"] == 0
    assert found.diagnostics["fixed"] == ["A", "alpha"]


def test_json_and_back_predicts_the_same():
    found = fit(simulated.isoflops(noise=2e-3), n_bootstrap=50)
    again = Fit.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert again.predict(1e9, 1e11) == found.predict(1e9, 1e11)
    np.testing.assert_array_equal(again.optimum_samples(1e21), found.optimum_samples(1e21))


def test_standard_errors_without_resampling_agree_with_resampling():
    m = simulated.grid(noise=3e-3, n=12)
    few, many = fit(m, delta="mad"), fit(m, delta="mad", n_bootstrap=500)
    for name in ("E", "alpha", "beta", "a"):
        assert few.standard_errors[name] == pytest.approx(many.standard_errors[name], rel=0.3)


def test_the_same_seed_gives_the_same_answer():
    m = simulated.isoflops(noise=2e-3)
    one, two = (fit(m, n_bootstrap=30, seed=4).to_dict() for _ in range(2))
    assert one == two


def columns(**change):
    return Measurements.from_columns(simulated.grid().to_columns() | change)


def pick(m, mask):
    return m.select(np.asarray(mask))


GRID = simulated.grid()


@pytest.mark.parametrize(
    ("m", "code", "message"),
    [
        (GRID.select(np.arange(3)), "too_few_points", "need at least 6 measurements; got 3"),
        (GRID.select(GRID.n_params == GRID.n_params[0]), "single_size", "at least 3 model sizes; got 1"),
        (simulated.grid(n=12).select(np.arange(12)), "single_horizon", "at least 3 token counts; got 1"),
        (columns(loss=[2.5] * 36), "equal_losses", "all 36 losses equal 2.5: nothing to fit"),
        (columns(decayed=[True] * 35 + [False]), "undecayed", "1 of 36 measurements were taken before"),
        (columns(n_tokens=(20 * GRID.n_params).tolist()), "constant_ratio", r"nearly the same D/N \(20\)"),
    ],
)  # fmt: skip
def test_data_that_cannot_answer_are_refused(m, code, message):
    with pytest.raises(RefusalError, match=message) as caught:
        fit(m)
    assert caught.value.code == code


def test_undecayed_rows_are_fitted_where_asked_for_and_mentioned():
    found = fit(columns(decayed=[True] * 35 + [False]), allow_undecayed=True)
    assert "undecayed" in {n.code for n in found.warnings}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"objective": "median"},
            "objective must be one of huber, lad, log_mse, mse; got 'median'",
        ),
        ({"delta": -1.0}, "delta must be positive; got -1.0"),
        ({"delta": "big"}, "delta must be a number or 'mad'; got 'big'"),
        ({"n_bootstrap": -1}, "n_bootstrap must be 0 or at least 2; got -1"),
        ({"n_bootstrap": 1}, "n_bootstrap must be 0 or at least 2; got 1"),
        ({"seed": -1}, "seed must not be negative; got -1"),
        ({"scheme": "foo"}, "scheme must be one of pairs, wild, parametric; got 'foo'"),
        ({"scheme": "wild"}, "scheme needs n_bootstrap: without resamples 'wild' changes nothing"),
        ({"cluster": True}, "cluster needs a column `group`"),
        ({"fixed": {"Z": 1.0}}, "chinchilla has no coefficient Z; it has E, A, B, alpha, beta"),
        ({"fixed": {"A": 1.0}}, "A can only be fixed together with its exponent"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        fit(GRID, **options)


def test_a_loss_without_any_n_dependence_is_refused_on_the_bound():
    m = simulated.grid()
    flat = 1.8 + 2100 * m.n_tokens**-0.37
    with pytest.raises(
        RefusalError, match=r"has alpha on the limit of what is searched|no optimum"
    ):
        fit(
            Measurements.from_columns(
                m.to_columns() | {"loss": flat * np.exp(1e-6 * m.n_params / 1e9)}
            )
        )


def test_a_delta_far_from_the_noise_is_mentioned():
    found = fit(simulated.grid(noise=0.3, seed=1))
    assert [n.code for n in found.warnings][-1] == "delta_far_from_noise"


def test_a_measurement_repeated_within_its_run_tells_nothing_new():
    m = simulated.grid(noise=3e-3)
    columns = {k: v * 5 for k, v in m.to_columns().items()}
    labels = [str(i) for i in range(len(m))]
    once = fit(m, objective="log_mse")
    runs = fit(Measurements.from_columns(columns | {"group": labels * 5}), objective="log_mse")
    single = fit(Measurements.from_columns(m.to_columns() | {"group": labels}), objective="log_mse")
    iid = fit(Measurements.from_columns(columns), objective="log_mse")
    for name, error in once.standard_errors.items():
        assert single.standard_errors[name] == pytest.approx(error, rel=1e-9)
        # apart from the small-sample factor, (R - 1)/(R - P) of R = 180 instead of 36
        assert runs.standard_errors[name] == pytest.approx(error, rel=0.08)
        assert iid.standard_errors[name] < 0.5 * error


def test_intervals_without_resampling_know_what_is_common_to_a_run():
    rng = np.random.default_rng(2)
    N, D = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, 12), np.geomspace(2e8, 2e10, 8)))
    found, errors = [], []
    for _ in range(12):
        common = np.tile(4e-3 * rng.standard_normal(12), 8)
        loss = simulated.loss(N, D) * np.exp(common + 7e-4 * rng.standard_normal(96))
        columns = {"n_params": N, "n_tokens": D, "loss": loss, "group": [f"{n:.3g}" for n in N]}
        fitted = fit(Measurements.from_columns(columns), delta="mad")
        found.append(fitted.coefficients["alpha"])
        errors.append(fitted.standard_errors["alpha"])
    # counted one by one the errors are a third of what the fits scatter by
    assert np.median(errors) > 0.6 * np.std(found)


def test_few_runs_are_warned_about():
    m = simulated.trunks(noise=2e-3)
    [note] = [n for n in fit(m, delta="mad").warnings if n.code == "few_runs"]
    assert "only 6 runs" in note.message
    assert "too narrow (add runs, not horizons)" in note.message
    assert not [n for n in fit(m, delta="mad", cluster=False).warnings if n.code == "few_runs"]


def test_rows_that_say_the_same_are_counted():
    m = simulated.grid(noise=3e-3)
    again = {k: v + v[:4] for k, v in m.to_columns().items()}
    [note] = [
        n for n in fit(Measurements.from_columns(again)).warnings if n.code == "duplicate_rows"
    ]
    assert "4 rows say the same as another" in note.message
    assert "duplicate_rows" not in {n.code for n in fit(m).warnings}


def test_a_law_that_resamples_do_not_determine_names_one_that_asks_less():
    m = simulated.isoflops(noise=0.05, seed=2, budgets=np.array([1e18, 2e18, 4e18]), n_sizes=4)
    message = (
        r"\d+ of 100 resamples have no optimum: the measurements do not determine the chinchilla law "
        r"\(add runs at other sizes and budgets; law 'frontier' asks less of them\)"
    )
    with pytest.raises(RefusalError, match=message):
        fit(m, delta="mad", n_bootstrap=100)
    assert fit(m, law="frontier", delta="mad", n_bootstrap=100).law == "frontier"
