"""Laws beside L(N, D) as answers: predictions, rollouts, and what cannot be asked."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.beside import curve, downstream, hyper, moe
from fitting.columns import read_columns
from fitting.errors import InputError, RefusalError
from tests.fitting import simulated
from tests.fitting.tables import CLARK, experts, grid_of_runs, schedule, scores, sigmoid


def test_two_steps_predict_the_score_of_a_planned_model():
    found = downstream(scores(), N=1e10, D=2e11)
    truth = simulated.loss(1e10, 2e11)
    assert found["prediction"]["loss"] == pytest.approx(truth, rel=1e-3)
    assert found["prediction"]["accuracy"] == pytest.approx(sigmoid(truth), abs=0.01)
    assert found["rollout"]["rms"] < 0.02
    assert found["rollout"]["n_held"] == 7


@settings(max_examples=10)
@given(st.floats(1.9, 3.5))
def test_a_lower_loss_is_never_a_lower_score(loss):
    at, below = (downstream(scores(), loss=x)["prediction"]["accuracy"] for x in (loss, loss - 0.1))
    assert below >= at


def test_gadres_error_is_asked_alike():
    loss = np.linspace(2, 4, 12)
    found = downstream({"loss": loss, "error": 0.85 - 2 * np.exp(-0.9 * loss)}, loss=1.8)
    assert found["prediction"]["error"] == pytest.approx(0.85 - 2 * np.exp(-0.9 * 1.8), rel=1e-3)


def test_a_score_beyond_the_measured_losses_is_said_to_be_extrapolated():
    loss = np.linspace(2, 4, 12)
    c = {"loss": loss, "error": 0.85 - 2 * np.exp(-0.9 * loss)}
    [note] = downstream(c, loss=0.5)["warnings"]
    assert note["message"].startswith("loss 0.5 lies outside the measured 2 to 4: its error is")
    assert "-0.425 is impossible" in note["message"]
    assert downstream(c, loss=2.5)["warnings"] == []


def test_rates_and_batches_are_asked_for_a_planned_model():
    found = hyper(grid_of_runs(), N=1e9, D=1e11, n_bootstrap=20)
    assert found["prediction"]["lr"] == pytest.approx(1.79 * 1e9**-0.713 * 1e11**0.307, rel=1e-6)
    assert found["prediction"]["batch_tokens"] == pytest.approx(0.58 * 1e11**0.571, rel=1e-6)
    assert found["rollout"]["rms"] == pytest.approx(0, abs=1e-9)
    few = hyper(grid_of_runs(2), n_bootstrap=20)["rollout"]
    assert few["reason"] == "a rollout needs 5 combinations of N and D; got 4"


def test_experts_are_asked_for_a_planned_model():
    found = moe(experts(), N=1e10, n_experts=64)
    assert found["prediction"]["loss"] == pytest.approx(float(CLARK.loss(1e10, 64)), rel=1e-3)
    assert found["prediction"]["effective_params"] > 1e10
    assert found["rollout"]["rms"] < 1e-3


def test_a_run_at_constant_rate_predicts_its_end_and_leaves_the_warm_up_out():
    c = schedule()
    partial = c | {"loss": np.where(c["step"] <= 250, c["loss"], np.nan)}
    found = curve(partial, decay=0.999)
    assert found["prediction"] == {"step": 400, "loss": pytest.approx(c["loss"][-1], rel=1e-3)}
    assert found["n_warmup"] == 19
    assert found["rollout"]["rms"] < 1e-3
    assert json.dumps(found, allow_nan=False)


def test_annealing_that_was_not_seen_gives_no_end_but_a_reason():
    c = schedule()
    lr = np.where(c["step"] <= 300, c["lr"], c["lr"] * (401 - c["step"]) / 101)
    found = curve(
        c | {"lr": lr, "loss": np.where(c["step"] <= 250, c["loss"], np.nan)}, decay=0.999
    )
    assert found["prediction"]["loss"] is None
    assert "what it gains is unknown" in found["prediction"]["reason"]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: downstream({"loss": np.ones(8)}), "column accuracy or error is missing"),
        (lambda: downstream(scores(), N=1e9), "params and tokens belong together"),
        (lambda: downstream(scores(), loss=-1.0), "loss must be finite and positive; got -1.0"),
        (lambda: hyper(grid_of_runs(), D=1e9), "params and tokens belong together"),
        (lambda: moe(experts(), N=1e9), "params and experts belong together"),
        (lambda: moe(experts(), N=1e9, n_experts=1e-3), "experts must be at least 1.*; got 0.001"),
        (lambda: moe(experts() | {"n_experts": np.full(30, 0.1)}), "n_experts must be at least 1"),
        (lambda: curve(schedule() | {"step": np.ones(400)}, decay=0.9), "step must increase"),
        (
            lambda: curve(schedule() | {"step": 1e12 * np.arange(400)}, decay=0.9),
            r"step must be at most 1e\+07; got 3.99e\+14 .tokens instead",
        ),
        (lambda: curve(schedule(), decay=float("nan")), r"decay must lie in \[0, 1\]; got nan"),
        (lambda: curve(schedule(), decay=2.0), r"decay must lie in \[0, 1\]; got 2.0"),
    ],
)
def test_bad_questions_are_named(ask, message):
    with pytest.raises(InputError, match=message):
        ask()


def test_too_few_rows_are_refused():
    with pytest.raises(RefusalError, match="a downstream law needs 6 pairs of loss and score"):
        downstream({k: v[:4] for k, v in scores().items()})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step,lr\n1,1\n", "column loss is missing; the columns found are step, lr"),
        ("step,lr,loss\n", "at least one row; got no row"),
        ("step,lr,loss\n1,x,2\n", "lr must be a finite number; got 'x' in row 1"),
        ("step,lr,loss\n1,-1,2\n", "lr must not be negative; got -1 in row 1"),
        ("step,lr,loss\n1,1,0\n", "loss must be positive; got 0 in row 1"),
    ],
)
def test_bad_tables_are_named(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_columns(path, ["step", "lr", "loss"], may_be_blank=("loss",), may_be_zero=("lr",))
