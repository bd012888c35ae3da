"""All approaches on one sweep: agreement on clean data, trust by rollout, refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fitting.analysis import Analysis, analyse
from fitting.bias import vertex_bias
from fitting.calibration import calibration
from fitting.envelope import envelope
from fitting.errors import InputError, RefusalError
from fitting.fit import fit
from fitting.measurements import Measurements
from tests.fitting import simulated

# Bytes of Python sources, context 128, fp32, one thread: C, N, loss in nats/byte. A quick trial of
# tiny transformers, most of them some hundred steps long; the run at 1e13 was made afterwards.
TRIAL = """
1e11 10e3 2.177, 1e11 20e3 2.237, 1e11 33e3 2.447, 1e11 68e3 2.773,
3e11 10e3 2.050, 3e11 20e3 1.975, 3e11 33e3 2.058, 3e11 68e3 2.343,
1e12 10e3 1.970, 1e12 20e3 1.807, 1e12 33e3 1.783, 1e12 68e3 1.845, 1e12 164e3 2.089,
3e12 33e3 1.680, 3e12 68e3 1.616, 3e12 115e3 1.637
"""


def trial():
    return rows(TRIAL)


def rows(text):
    C, N, L = np.array([[float(v) for v in row.split()] for row in text.strip().split(",")]).T
    return Measurements.from_columns({"n_params": N, "n_tokens": C / 6 / N, "loss": L, "budget": C})


@pytest.fixture(scope="module")
def clean():
    return analyse(simulated.isoflops(noise=1e-3, half=4.0, n_sizes=7), n_bootstrap=100)


def test_on_clean_data_every_approach_finds_the_exponent(clean):
    for name in ("chinchilla", "frontier", "parabola", "akima"):
        assert clean.approaches[name].exponent == pytest.approx(0.37 / 0.72, abs=0.05), name


def test_the_recommendation_holds_the_truth(clean):
    C = 3e20
    r = clean.recommend(C)
    assert r.n_params == pytest.approx(simulated.best_size(C), rel=0.1)
    assert r.interval_n_params[0] < simulated.best_size(C) < r.interval_n_params[1]
    best = simulated.best_size(C)
    assert r.loss.low < simulated.loss(best, C / 6 / best) < r.loss.high
    assert r.n_params * r.n_tokens * 6 == pytest.approx(C)
    assert r.verdict == "extrapolated"


def test_weights_add_up_and_the_trusted_one_has_the_largest(clean):
    assert sum(clean.weights.values()) == pytest.approx(1)
    assert clean.weights[clean.trusted] == max(clean.weights.values())
    assert "predicted the largest budgets" in clean.why


def test_it_trusts_the_frontier_where_the_additive_law_is_ten_per_cent_off():
    # trained afterwards: 115k parameters at 1e13 FLOP ended at 1.448
    a = analyse(trial(), n_bootstrap=200)
    assert a.trusted == "frontier"
    assert np.exp(a.approaches["frontier"].optimum(1e13)[1]) == pytest.approx(1.448, rel=0.01)
    r = a.recommend(1e13)  # a tenth of its weight is the additive law's
    assert r.loss.value == pytest.approx(1.448, rel=0.02)
    assert r.loss.low < 1.448 < r.loss.high
    assert a.approaches["chinchilla"].optimum(1e13)[1] > np.log(1.448 * 1.05)
    assert r.flat_band[0] < 115e3 < r.flat_band[1]


# Trunks of byte models on Python sources, context 64, batch 512 (`reports/LOG.md`): their frontier
# falls 6 % a doubling up to 1e12 FLOP and 4 % beyond.
BENDING = """
1.2e11 18e3 2.0059, 1.2e11 30e3 1.9442, 1.2e11 52e3 1.9844, 1.2e11 88e3 2.0409,
2.4e11 18e3 1.9278, 2.4e11 30e3 1.8370, 2.4e11 52e3 1.8310, 2.4e11 88e3 1.8675, 2.4e11 151e3 1.9589,
4.8e11 30e3 1.7613, 4.8e11 52e3 1.7092, 4.8e11 88e3 1.7241, 4.8e11 151e3 1.7793, 4.8e11 282e3 1.8977,
9.6e11 30e3 1.6990, 9.6e11 52e3 1.6526, 9.6e11 88e3 1.6210, 9.6e11 151e3 1.6600, 9.6e11 282e3 1.7198
"""


def test_a_frontier_that_bends_is_forecast_ten_times_beyond_its_largest_budget():
    # trained afterwards at 9.6e12 FLOP: 88k 1.4501, 151k 1.4297, 282k 1.4305, so 1.43 at the best
    r = analyse(rows(BENDING), n_bootstrap=200).recommend(9.6e12)
    assert r.loss.value == pytest.approx(1.43, rel=0.01)
    assert 151e3 < r.n_params < 282e3
    assert r.loss.low < 1.43 < r.loss.high


def test_approaches_are_weighed_by_the_hold_outs_all_of_them_could_be_asked():
    a = analyse(trial(), n_bootstrap=200)
    asked = {k: {h.question for h in r.held_out} for k, r in a.rollouts.items()}
    assert asked["chinchilla"] < asked["frontier"]  # five points without the two largest budgets
    assert a.weights["chinchilla"] > 0


def test_two_budgets_share_the_weight_and_say_that_nothing_was_tested():
    # Alone, the valley assumes a floor of 0, and its 90 % interval never held the truth.
    a = analyse(simulated.isoflops(noise=1e-3, n_sizes=8, budgets=np.array([1e18, 3e18])), n_bootstrap=100)  # fmt: skip
    assert a.weights == {"frontier": 0.5, "chinchilla": 0.5}
    r, best = a.recommend(3e19), simulated.best_size(3e19)
    assert {"no_rollout", "floor_assumed_zero"} <= {n.code for n in r.warnings}
    assert r.loss.low < simulated.loss(best, 3e19 / 6 / best) < r.loss.high


def test_runs_with_several_horizons_are_read_together():
    a = analyse(simulated.trunks(noise=2e-3), n_bootstrap=100)
    assert "envelope" in a.approaches
    assert a.approaches["chinchilla"].fit.sample_origin == "parametric"
    r = a.recommend(3e20)
    assert r.interval_n_params[0] < simulated.best_size(3e20) < r.interval_n_params[1]


@pytest.mark.parametrize("n_sizes", [5, 12])
def test_a_law_is_resampled_in_an_analysis_as_it_is_alone(n_sizes):
    m = simulated.isoflops(noise=1e-3, n_sizes=n_sizes)
    alone = fit(m, delta="mad", n_bootstrap=30)
    among = analyse(m, n_bootstrap=30).approaches["chinchilla"].fit
    assert among.sample_origin == alone.sample_origin
    assert among.intervals == alone.intervals


def test_json_and_back_recommends_the_same(clean):
    again = Analysis.from_dict(json.loads(json.dumps(clean.to_dict(), allow_nan=False)))
    assert again.recommend(1e20).to_dict() == clean.recommend(1e20).to_dict()
    json.dumps(clean.recommend(1e20).to_dict(), allow_nan=False)


def test_far_beyond_the_sweep_the_verdict_is_refused(clean):
    r = clean.recommend(1e25)
    assert r.verdict == "refused"
    assert r.warnings[0].code in {"too_far", "interval_too_wide"}


@pytest.mark.parametrize(
    ("flops", "verdict"), [(1e9, "refused"), (1e17, "extrapolated"), (5e18, "supported")]
)
def test_below_the_sweep_the_verdict_is_no_kinder(clean, flops, verdict):
    assert clean.recommend(flops).verdict == verdict


def test_a_budget_that_cannot_be_meant(clean):
    with pytest.raises(InputError, match="flops must be finite and positive; got -1"):
        clean.recommend(-1)


def test_a_ladder_at_constant_ratio_is_refused():
    N = np.geomspace(1e8, 1e9, 12)
    m = Measurements.from_columns({"n_params": N, "n_tokens": 20 * N, "loss": 2 + N**-0.1})
    with pytest.raises(RefusalError, match=r"nearly the same D/N \(20\)"):
        analyse(m)


def test_regrets_are_those_of_the_recommended_size(clean):
    best = min(clean.regrets(1e20), key=lambda r: r["extra_compute"])
    assert best["n_params"] == pytest.approx(clean.recommend(1e20).n_params)
    assert best["extra_compute"] == pytest.approx(0, abs=1e-9)


def losses_of_nothing(seed):
    m = simulated.isoflops(n_sizes=7, budgets=np.geomspace(1e18, 1e21, 6))
    loss = np.random.default_rng(seed).uniform(2, 3, len(m))
    return Measurements.from_columns(m.to_columns() | {"loss": loss})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_losses_of_nothing_are_refused(seed):
    message = r"neither fall with compute nor have a valley in N beyond their scatter \(p = .*budgets further apart"
    with pytest.raises(RefusalError, match=message) as caught:
        analyse(losses_of_nothing(seed))
    assert caught.value.code == "no_signal"


def test_where_only_the_optimum_is_known_the_flat_band_is_unknown(clean):
    known = {k: a for k, a in clean.approaches.items() if a.fit is None}
    alone = replace(clean, approaches=known, weights={"parabola": 1.0}, trusted="parabola")
    assert alone.recommend(1e20).to_dict()["flat_band"] == {"n_params": None}


def test_undecayed_measurements_are_refused():
    m = simulated.isoflops()
    columns = m.to_columns() | {"decayed": [i > 2 for i in range(len(m))]}
    with pytest.raises(RefusalError, match="3 of 20 measurements were taken before"):
        analyse(Measurements.from_columns(columns))


def test_what_an_approach_cannot_read_is_said():
    a = analyse(simulated.isoflops(noise=1e-3), n_bootstrap=50)
    assert "3 horizons each" in a.refused["envelope"]
    assert any(n.code == "refused_envelope" for n in a.warnings)


def test_the_envelope_needs_curves():
    with pytest.raises(RefusalError, match="approach 1 needs 3 sizes with 3 horizons each; 0"):
        envelope(simulated.isoflops())


def test_the_envelope_of_dense_curves_has_the_right_exponent():
    N, C = (
        g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e10, 40), np.geomspace(1e18, 1e21, 40))
    )
    D = C / 6 / N
    m = Measurements.from_columns(
        {"n_params": N, "n_tokens": D, "loss": simulated.loss(N, D), "budget": C}
    )
    assert envelope(m).size.slope == pytest.approx(0.37 / 0.72, abs=0.02)


def test_calibration_asks_about_every_larger_budget():
    trials = calibration(
        simulated.isoflops(noise=1e-3, budgets=np.geomspace(1e18, 1e20, 5)), n_bootstrap=50
    )
    assert len(trials) == 3
    assert sum(t.held for t in trials) >= 2


def test_calibration_needs_four_budgets():
    with pytest.raises(RefusalError, match="a calibration needs 4 budgets; got 3"):
        calibration(simulated.isoflops(budgets=np.geomspace(1e18, 1e19, 3)))


def test_the_bias_of_approach_2_is_told(clean):
    # half-width 4, seven sizes, exponents .35 and .37: the parabola's vertex is .5 % low
    told = clean.parabola_bias()
    assert told["mean_size_error"] == pytest.approx(vertex_bias(0.35, 0.37, 4.0, 7), abs=0.01)
    assert told["a_corrected"] == pytest.approx(0.37 / 0.72, abs=0.05)


def test_no_answer_is_without_resamples():
    assert analyse(simulated.isoflops(noise=1e-3), n_bootstrap=0).n_bootstrap > 100
    with pytest.raises(InputError, match="n_bootstrap must be 0 or at least 2; got -5"):
        analyse(simulated.isoflops(), n_bootstrap=-5)
    with pytest.raises(InputError, match="seed must not be negative; got -1"):
        analyse(simulated.isoflops(), seed=-1)


def test_a_stored_analysis_knows_how_many_rows_were_left_out():
    m = simulated.isoflops(noise=1e-3)
    flags = {"excluded_outlier": [i == 3 for i in range(len(m))]}
    a = analyse(Measurements.from_columns(m.to_columns() | flags), n_bootstrap=20)
    assert Analysis.from_dict(a.to_dict()).measurements.n_excluded == 1
