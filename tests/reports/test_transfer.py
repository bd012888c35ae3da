import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.errors import InputError
from reports.transfer import curves, plot, spread

RATES = [0.00125, 0.0025, 0.005, 0.01, 0.02]


def _rows(best, d_model=32, floor=2.0):
    return [
        {"d_model": d_model, "lr": lr, "loss": floor + 0.1 * np.log(lr / best) ** 2} for lr in RATES
    ]


@given(st.floats(0.002, 0.012))
def test_a_parabola_gives_its_bottom(best):
    (line,) = curves(_rows(best))
    assert line.best_lr == pytest.approx(best)
    assert line.best_loss == pytest.approx(2.0)


def test_the_spread_is_the_ratio_of_best_rates():
    lines = curves(_rows(0.004) + _rows(0.006, d_model=64))
    assert [line.d_model for line in lines] == [32, 64]
    assert spread(lines) == pytest.approx(1.5)


def test_seeds_are_averaged():
    rows = _rows(0.005) + [{**r, "loss": r["loss"] + 0.2} for r in _rows(0.005)]
    assert curves(rows)[0].best_loss == pytest.approx(2.1)


def test_a_best_rate_at_the_edge_is_refused():
    with pytest.raises(InputError, match=r"rates of width 32 must enclose the best one.*at 0.02"):
        curves(_rows(1.0))


def test_the_figure_has_a_star_for_every_width():
    ax = plot(curves(_rows(0.004) + _rows(0.006, d_model=64)))
    stars = [a for a in ax.lines if a.get_marker() == "*"]
    assert [round(float(s.get_xdata()[0]), 6) for s in stars] == [0.004, 0.006]
    assert "nats/token" in ax.get_ylabel()
