"""Time and money of a final run that is compiled where the sweep's runs were not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.small import compiling
from fitting.costs.tables import load_tables
from store.engine import writing
from store.models import Run
from store.states import RunState
from sweeper import forecast as forecasts
from sweeper.forecast import forecast, priced_at
from sweeper.spec import parse
from tests.sweeper.conftest import SPEC

COST = {"device_hours": {"value": 1.0, "low": 0.9, "high": 1.1},
        "usd_total": {"value": 5.0, "low": 4.0, "high": 6.0}}  # fmt: skip


@pytest.fixture
def bet_on(engine, ask, monkeypatch):
    """The forecast of a run, with the names of the runs that the trainer would compile."""

    def make(compiled, *, device="cpu-core", ended=True):
        sweep_id = ask()
        with writing(engine) as session:
            runs = session.query(Run).order_by(Run.n_params).all()
            for run in runs[:-1]:
                run.state = RunState.FINISHED if ended else run.state
            final, largest = runs[-1], runs[-2]
            names = {final.n_params: "final", largest.n_params: "largest"}
            monkeypatch.setattr(
                forecasts, "is_compiled",
                lambda spec, _device: names.get(spec.model.n_params) in compiled,
            )  # fmt: skip
            recommendation = SimpleRecommendation({"device": device, **COST})
            return final.n_params, forecast(session, recommendation, final, parse(SPEC), sweep_id)

    return make


class SimpleRecommendation:
    """What `forecast` reads of a recommendation's row."""

    id, fit_id = 1, 1

    def __init__(self, cost):
        self.result = {"n_params": 1e4, "n_tokens": 1e6, "loss": {}, "cost": cost}


def test_a_final_run_that_alone_is_compiled_is_expected_to_take_less_time(bet_on):
    n_params, bet = bet_on({"final"})
    gain, wait = compiling(n_params, load_tables())
    hours = bet["cost"]["device_hours"]
    assert bet["faster_by_compiling"]
    assert hours["value"] == pytest.approx(1 / gain.value + wait.value / 3600)
    assert hours["low"] == pytest.approx(0.9 / gain.high + wait.low / 3600)
    assert hours["high"] == pytest.approx(1.1 / gain.low + wait.high / 3600)
    for at, usd in COST["usd_total"].items():  # the price of an hour is as it was
        assert bet["cost"]["usd_total"][at] / hours[at] == pytest.approx(
            usd / COST["device_hours"][at]
        )


@pytest.mark.parametrize(
    ("compiled", "how"),
    [
        (set(), {}),
        ({"final", "largest"}, {}),
        ({"largest"}, {}),
        ({"final"}, {"device": "h100-sxm"}),  # the gain is known for a CPU's core
        ({"final"}, {"ended": False}),  # no run whose speed the price has
    ],
)
def test_otherwise_the_laws_price_is_the_forecast(bet_on, compiled, how):
    _, bet = bet_on(compiled, **how)
    assert (bet["faster_by_compiling"], bet["cost"]) == (False, COST)


@given(st.floats(1e-6, 1e6))
def test_prices_are_proportional_to_the_hours(hours):
    came = priced_at(hours, COST)
    assert came["device_hours"] == pytest.approx(hours)
    assert came["usd_total"] == pytest.approx(5 * hours)


def test_without_hours_in_the_forecast_there_is_no_price():
    assert priced_at(1.0, {}) == {}
