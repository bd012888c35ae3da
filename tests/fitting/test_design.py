"""Designs: what runs tell before they run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.advice import advise
from fitting.design import next_runs, prospect
from fitting.errors import InputError, RefusalError
from fitting.split import grid_design, split
from tests.fitting import simulated

LAW = simulated.TRUTH
N, D = grid_design(1e21, LAW)


def test_a_grid_design_spends_its_budget_around_the_optima():
    assert 6 * np.sum(N * D) == pytest.approx(1e21)
    assert len(N) == 25


@settings(max_examples=20)
@given(st.floats(1e-4, 1e-1))
def test_intervals_grow_with_the_scatter_and_shrink_with_repetition(scatter):
    one = prospect(N, D, coefficients=LAW, target=1e22, scatter=scatter)
    four = prospect(np.tile(N, 4), np.tile(D, 4), coefficients=LAW, target=1e22, scatter=scatter)
    assert four.log_size_sd == pytest.approx(one.log_size_sd / 2, rel=1e-6)
    assert one.log_size_sd / scatter == pytest.approx(
        prospect(N, D, coefficients=LAW, target=1e22, scatter=1.0).log_size_sd, rel=1e-6
    )


def test_the_expected_interval_is_what_simulated_sweeps_scatter():
    from fitting.fit import fit
    from fitting.measurements import Measurements

    expected = prospect(N, D, coefficients=LAW, target=1e22, scatter=2e-3).log_size_sd
    rng = np.random.default_rng(0)
    found = []
    for _ in range(40):
        loss = simulated.loss(N, D) * np.exp(2e-3 * rng.standard_normal(len(N)))
        m = Measurements.from_columns({"n_params": N, "n_tokens": D, "loss": loss})
        found.append(np.log(fit(m, objective="log_mse").optimum(1e22)[0]))
    assert np.std(found) == pytest.approx(expected, rel=0.35)  # 40 sweeps: 11 % of its own error


def test_a_ladder_at_constant_ratio_is_a_ridge_before_it_is_run():
    ladder = np.geomspace(1e8, 1e9, 10)
    found = prospect(ladder, 20 * ladder, coefficients=LAW, target=1e22)
    assert found.to_dict()["ridge"]
    assert found.interval_factor > 100
    assert not prospect(N, D, coefficients=LAW, target=1e22).to_dict()["ridge"]


def test_the_next_runs_halve_the_interval():
    candidates = [(n, C / 6 / n) for C in (3e20, 3e21) for n in np.geomspace(3e8, 1e10, 9)]
    steps = next_runs(N, D, candidates, coefficients=LAW, target=1e22)
    before = prospect(N, D, coefficients=LAW, target=1e22).log_size_sd
    assert steps[-1].after.log_size_sd <= before / 2 < steps[-2].after.log_size_sd
    assert [s.after.log_size_sd for s in steps] == sorted((s.after.log_size_sd for s in steps), reverse=True)  # fmt: skip


def test_candidates_that_cannot_are_refused():
    with pytest.raises(RefusalError, match="2 more of these runs shrink the interval of N"):
        next_runs(N, D, [(1e8, 1e8)], coefficients=LAW, target=1e22, max_runs=2)


def test_a_design_without_enough_runs_is_named():
    with pytest.raises(InputError, match="needs at least 5 pairs of N and D; got 3 and 3"):
        prospect(N[:3], D[:3], coefficients=LAW, target=1e22)


def test_more_scatter_wants_a_larger_share_for_the_sweep():
    calm, wild = (split(1e22, LAW, scatter=s) for s in (1e-3, 3e-2))
    assert calm.share < wild.share < 0.5
    assert calm.loss < wild.loss
    assert calm.flat[0] <= calm.share <= calm.flat[1]


def test_a_total_that_cannot_be_meant_is_named():
    with pytest.raises(InputError, match="total must be finite and positive; got 0"):
        split(0, LAW)


def test_advice_with_and_without_measurements():
    blind = advise(None, target=1e22, total=1e22)
    assert blind["now"] is None
    assert blind["warnings"][0]["code"] == "assumed_law"
    seen = advise(simulated.isoflops(noise=2e-3), target=3e20)
    assert seen["now"]["interval_factor"] > 1
    assert seen["next_runs"][-1]["interval_factor"] < seen["now"]["interval_factor"]
    with pytest.raises(InputError, match="target must be finite and positive; got -1"):
        advise(None, target=-1)
    for scatter in (-1.0, 0.0, float("nan")):
        with pytest.raises(InputError, match=f"scatter must be finite and positive; got {scatter}"):
            advise(None, target=1e22, scatter=scatter)
