"""Which measurements are named as far from the others."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.analysis import analyse
from fitting.approaches import read_each
from fitting.errors import RefusalError
from fitting.fit import fit
from fitting.measurements import Measurements
from fitting.sensitivity import by_objective
from fitting.stray import stray_notes
from tests.fitting import simulated

M = simulated.isoflops(noise=2e-3)


def with_loss(row, loss):
    changed = M.loss.copy()
    changed[row] = loss
    return Measurements.from_columns(M.to_columns() | {"loss": changed})


def codes(notes):
    return [n.code for n in notes]


@given(seed=st.integers(0, 10_000), scale=st.floats(1e-6, 0.1))
def test_normal_scatter_has_no_stray_point(seed, scale):
    assert stray_notes(M, np.random.default_rng(seed).normal(0, scale, len(M))) == ()


def test_of_the_chinchilla_points_those_that_others_left_out_are_named(reference_data):
    """Besiroglu et al. 2024 left out five, the first rows; the fifth is 3 standard deviations off."""
    m = Measurements.from_csv(reference_data / "runs" / "chinchilla_epoch.csv", keep_excluded=True)
    found = fit(m, delta="mad")
    [note] = [n for n in found.warnings if n.code == "stray_measurements"]
    assert note.message.startswith("4 of 245 measurements lie far from the others: ")
    for k in (0, 1, 3):  # the worst three
        assert f"N={m.n_params[k]:.4g}, D={m.n_tokens[k]:.4g}, loss {m.loss[k]:.4g}" in note.message
    assert "; and 1 more (check them" in note.message


@pytest.mark.parametrize(("row", "factor", "side"), [(7, 1.3, "above"), (12, 0.8, "below")])
def test_one_bad_run_is_named_by_a_fit_and_by_all_approaches(row, factor, side):
    m = with_loss(row, M.loss[row] * factor)
    for found in (fit(m, delta="mad"), analyse(m, n_bootstrap=50)):
        [note] = [n for n in found.warnings if n.code == "stray_measurements"]
        assert note.message.startswith(f"1 of {len(m)} measurements lies far from the others: ")
        assert f"loss {m.loss[row]:.4g}" in note.message
        assert f"% {side} their law" in note.message


def test_clean_losses_are_not_accused():
    for found in (fit(M, delta="mad"), analyse(M, n_bootstrap=50)):
        assert "stray_measurements" not in codes(found.warnings)


@pytest.mark.parametrize("n_sizes", [3, 4, 5])
@pytest.mark.parametrize("options", [{}, {"delta": "mad"}, {"objective": "lad"}])
def test_a_few_clean_losses_of_which_a_fit_meets_some_exactly_are_not_accused(n_sizes, options):
    for seed in range(10):
        m = simulated.isoflops(noise=1e-2, seed=seed, budgets=np.geomspace(1e18, 1e19, 3), n_sizes=n_sizes)  # fmt: skip
        assert "stray_measurements" not in codes(fit(m, **options).warnings)


def test_a_loss_that_is_an_upper_bound_may_lie_above():
    high = with_loss(7, 1.3 * M.loss[7])
    flags = {"censored": [i == 7 for i in range(len(M))]}
    m = Measurements.from_columns(high.to_columns() | flags)
    assert "stray_measurements" in codes(fit(high, delta="mad").warnings)
    assert "stray_measurements" not in codes(fit(m, delta="mad").warnings)


@pytest.mark.parametrize("conclude", [fit, lambda m: analyse(m, n_bootstrap=50)])
def test_a_refusal_names_a_loss_that_is_absurd(conclude):
    m = with_loss(0, 1e10)  # the smallest model, so that an exponent alone can reach it
    with pytest.raises(RefusalError) as e:
        conclude(m)
    assert re.search(r"loss 1e\+10, \S+ times the median \(check them", " ".join(e.value.reasons))


def test_an_absurd_loss_breaks_no_objective_and_no_approach():
    m = with_loss(9, 1e10)
    assert "huber" in by_objective(m, law="chinchilla")
    _, refused = read_each(m, n_bootstrap=50, seed=0)
    for name in ("parabola", "akima"):
        assert "lie on no parabola: theirs is not positive where one was measured" in refused[name]
