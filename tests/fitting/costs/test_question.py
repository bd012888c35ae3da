"""The lecture's question, from a published law and from one's own runs."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.published import published_law
from fitting.costs.question import ask, rungs
from fitting.errors import InputError, RefusalError

CHINCHILLA = published_law("chinchilla-epoch")
HOFFMANN = published_law("hoffmann")
MUENNIGHOFF = published_law("muennighoff")
LAWS = st.sampled_from([CHINCHILLA, HOFFMANN, MUENNIGHOFF])
budgets = st.floats(1e18, 1e27)

# Sardana et al. 2023 with Hoffmann's rounded coefficients: D_inf, N, D at the loss of 70B on 1.4T
SARDANA = [
    (0.0, 29.98e9, 2.735e12),
    (1e11, 29.41e9, 2.789e12),
    (1e12, 25.67e9, 3.220e12),
    (1e13, 15.85e9, 6.049e12),
]


def test_the_loss_of_chinchilla():
    assert HOFFMANN.loss(70e9, 1.4e12) == pytest.approx(1.93665, abs=5e-6)


@pytest.mark.parametrize(("served", "N", "D"), SARDANA)
def test_serving_makes_the_model_smaller_as_published(served, N, D):
    total = 6 * N * D + 2 * N * served
    found = HOFFMANN.choose(total, inference_tokens=served)
    assert found.n_params == pytest.approx(N, rel=3e-4)
    assert found.n_tokens == pytest.approx(D, rel=3e-4)
    assert found.loss == pytest.approx(1.93665, abs=2e-5)


@given(LAWS, budgets, st.floats(-0.5, 0.5))
def test_no_other_split_of_the_budget_is_better(law, C, shift):
    best = law.choose(C)
    N = best.n_params * np.exp(shift)
    assert 6 * best.n_params * best.n_tokens == pytest.approx(C)
    assert law.loss(N, C / 6 / N) >= best.loss * (1 - 1e-12)


@given(LAWS, budgets, st.floats(1e9, 1e15))
def test_the_variants_spend_the_budget_too(law, C, tokens):
    found = law.choose(C, unique_tokens=tokens)
    assert 6 * found.n_params * found.n_tokens == pytest.approx(C)
    assert found.loss >= law.choose(C).loss * (1 - 1e-9)
    served = law.choose(C, inference_tokens=tokens)
    assert 6 * served.n_params * served.n_tokens + 2 * served.n_params * tokens == pytest.approx(C)


def test_enough_data_is_the_plain_answer():
    plain = MUENNIGHOFF.choose(1e22)
    assert MUENNIGHOFF.choose(1e22, unique_tokens=plain.n_tokens * 2) == plain


def test_repeated_tokens_count_for_less_and_never_for_nothing():
    losses = [MUENNIGHOFF.loss(1e9, 1e11, unique_tokens=u) for u in (1e9, 1e10, 5e10, 1e11)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == MUENNIGHOFF.loss(1e9, 1e11)


@given(st.floats(1e8, 1e12), st.floats(1e9, 1e13), st.floats(1e9, 1e13))
def test_the_published_laws_are_those_that_fits_use(N, D, U):
    from fitting.laws.muennighoff import Muennighoff
    from fitting.laws.protocol import ORIGIN, Points

    law = Muennighoff()
    published = {"E": 1.87, "A": 521, "B": 1488, "alpha": 0.353, "R_D": 15.387756, "R_N": 5.309743}
    theta = law.theta({k: np.array([v]) for k, v in published.items()}, ORIGIN)
    same = np.exp(law.log_loss(theta, Points.at(N, D, U))[0]).item()
    assert MUENNIGHOFF.loss(N, D, unique_tokens=U) == pytest.approx(same)


@pytest.mark.parametrize(
    ("flops", "verdict"),
    [(1e10, "refused"), (1e16, "extrapolated"), (1e21, "supported"), (1e24, "extrapolated"), (1e40, "refused")],
)  # fmt: skip
def test_a_published_law_goes_no_further_than_a_fitted_one(flops, verdict):
    assert CHINCHILLA.choose(flops).verdict == verdict


def test_a_budget_that_the_published_law_cannot_answer_is_refused():
    with pytest.raises(
        RefusalError, match=r"9e\+09 FLOP is 6.43e-09 times the least measured compute"
    ):
        ask("1e10 flop", CHINCHILLA)


def test_more_epochs_than_anybody_trained_are_extrapolated():
    assert MUENNIGHOFF.choose(1e21, unique_tokens=1e9).verdict == "supported"
    found = MUENNIGHOFF.choose(1e21, unique_tokens=1e5)
    assert found.verdict == "extrapolated"
    assert "the most that were measured are 9e+03" in found.notes[-1].message


def test_the_lectures_question():
    a = ask("10,000 H100 for 30 days", CHINCHILLA, region="usa")
    assert a.sweep.share == pytest.approx(0.1)
    assert a.sweep.figures["days"].value == pytest.approx(3)
    assert a.final["days"].value == pytest.approx(27)
    assert a.whole["days"].value == pytest.approx(30)
    assert a.final["flops"].value == pytest.approx(0.9 * 10_000 * 30 * 86400 * 989e12 * 0.26)
    best = a.choices["plain"]
    assert best.n_params == pytest.approx(2.405e11, rel=1e-3)
    assert best.n_tokens == pytest.approx(4.157e12, rel=1e-3)
    assert best.loss == pytest.approx(1.9203, abs=1e-4)
    assert a.at_band[0].n_params < best.n_params < a.at_band[1].n_params
    crossed = {c.row.id for c in a.final.thresholds if c.crossed}
    assert crossed == {"eu-gpai"}
    json.dumps(a.to_dict(), allow_nan=False)


def test_the_sweeps_share_can_be_computed():
    a = ask("1e21 flop", CHINCHILLA, sweep_share="computed")
    low, high = a.sweep.computed.flat
    assert low <= a.sweep.share == a.sweep.computed.share <= high < 0.1
    assert a.final["flops"].value == pytest.approx(1e21 * (1 - a.sweep.share))


def test_its_variants():
    a = ask("10,000 H100 for 30 days", CHINCHILLA, inference_tokens=1e13, unique_tokens=1e12)
    plain, served, limited = (a.choices[n] for n in ("plain", "inference_aware", "data_limited"))
    assert served.n_params < plain.n_params
    assert limited.loss > plain.loss
    assert "repeated_data" in {n.code for n in limited.notes}


@given(budgets)
def test_the_sweeps_runs_cost_its_share(flops):
    found = rungs(CHINCHILLA, flops)
    spent = [6 * n * d for r in found for n, d in zip(r.n_params, r.n_tokens, strict=True)]
    assert sum(spent) == pytest.approx(flops)
    assert all(min(r.n_params) < CHINCHILLA.optimum(r.flops)[0] < max(r.n_params) for r in found)


def test_a_law_of_ones_own_answers_with_intervals():
    from fitting.costs.fitted import FittedLaw
    from fitting.fit import fit
    from fitting.measurements import Measurements

    N, D = (g.ravel() for g in np.meshgrid(np.geomspace(1e6, 1e9, 7), np.geomspace(1e8, 1e10, 6)))
    noise = np.exp(np.random.default_rng(0).normal(0, 2e-3, N.size))
    loss = np.array([CHINCHILLA.loss(n, d) for n, d in zip(N, D, strict=True)]) * noise
    m = Measurements(n_params=N, n_tokens=D, loss=loss, flops=6 * N * D)
    law = FittedLaw(fit=fit(m, n_bootstrap=50, seed=0), measurements=m)
    a = ask("100 h100-h", law, measured_mfu=0.4)
    best = a.choices["plain"]
    low, high = best.interval_n_params
    truth = CHINCHILLA.optimum(a.final["flops"].value)[0]
    assert low < best.n_params < high
    assert best.n_params == pytest.approx(truth, rel=0.1)
    assert low / 1.1 < truth < high * 1.1
    assert "chinchilla law fitted to 42 measurements" in a.law


def test_too_far_an_extrapolation_is_refused():
    from fitting.costs.published import Choice, Note

    class Shy:
        source = "a law that says no"
        closed_form = CHINCHILLA.closed_form

        def choose(self, flops, **_):
            notes = (Note("too_far", "nobody has checked such extrapolations"),)
            return Choice(n_params=1e9, n_tokens=1e9, loss=2.0, verdict="refused", notes=notes)

    with pytest.raises(RefusalError, match="nobody has checked") as e:
        ask("1e26 flop", Shy())
    assert e.value.code == "too_far"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: published_law("kaplan"), "law must be one of .*'chinchilla-epoch'"),
        (lambda: ask("1e22", CHINCHILLA, sweep_share=10), r"sweep_share must lie in \(0, 1\)"),
        (lambda: ask("1e22", CHINCHILLA, inference_tokens=-1), "inference_tokens must be finite"),
        (lambda: ask("1e22", CHINCHILLA, unique_tokens=0), "unique_tokens must be positive"),
        (lambda: CHINCHILLA.choose(float("nan")), "flops must be positive and finite; got nan"),
    ],
)
def test_a_question_that_cannot_be_meant_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
