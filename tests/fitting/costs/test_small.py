"""The speed of small models on a core: between its rows, beyond them, and of several runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.estimate import estimate
from fitting.costs.small import core_speed
from fitting.costs.tables import load_tables

TABLES = load_tables()


def test_a_row_of_the_table_is_returned():
    found = core_speed([(52e3, 1e12)], TABLES)
    assert found["measured_flop_s"] == pytest.approx(19e9)
    assert found["measured_flop_s_band"] == pytest.approx((13e9, 26e9))


@given(st.floats(5e3, 2.5e5), st.floats(1.01, 1.2))
def test_a_larger_model_uses_the_core_better(n_params, times):
    small, large = (core_speed([(n, 1e12)], TABLES) for n in (n_params, n_params * times))
    assert small["measured_flop_s"] < large["measured_flop_s"]


def test_hours_of_several_runs_add_up():
    runs = [(18e3, 1e12), (280e3, 3e12)]
    together = 4e12 / core_speed(runs, TABLES)["measured_flop_s"]
    apart = sum(c / core_speed([(n, c)], TABLES)["measured_flop_s"] for n, c in runs)
    assert together == pytest.approx(apart)


def test_above_the_table_the_family_holds():
    assert core_speed([(52e3, 1e12), (1e6, 1e12)], TABLES) == {}


def test_the_source_is_told_beside_the_figure():
    e = estimate(flops=1e12, device="cpu-core", **core_speed([(52e3, 1e12)], TABLES))
    assert "by size; a sweep measures it here" in e.inputs["achieved_flop_s"].sources[0]
    low, high = e.figures["device_hours"].low, e.figures["device_hours"].high
    assert low < 1e12 / 19e9 / 3600 < high
