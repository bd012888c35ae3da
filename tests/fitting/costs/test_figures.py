"""A figure's band and its formula."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.figures import constant, leaf, product, text, total
from fitting.errors import InputError

values = st.floats(1e-6, 1e12)
widths = st.floats(1, 5)
banded = st.builds(
    lambda v, down, up: leaf("x", v, "", band=(v / down, v * up)), values, widths, widths
)


@given(st.lists(banded, min_size=1, max_size=4), st.lists(banded, max_size=3))
def test_a_product_lies_inside_its_band_and_the_band_inside_the_extremes(times, per):
    f = product("y", "", times, per)
    lowest = math.prod(x.low for x in times) / math.prod(x.high for x in per)
    assert lowest * (1 - 1e-9) <= f.low <= f.value <= f.high


@given(st.lists(banded, min_size=1, max_size=4))
def test_a_sum_lies_inside_its_band(parts):
    f = total("y", "", parts)
    assert f.value == pytest.approx(sum(p.value for p in parts))
    assert sum(p.low for p in parts) <= f.low * (1 + 1e-9)
    assert f.low <= f.value <= f.high


def test_two_equal_bands_combine_in_quadrature():
    x = leaf("x", 10.0, "", band=(5, 20))
    assert product("y", "", [x, x]).high == pytest.approx(100 * 2 ** math.sqrt(2))


def test_the_formula_has_the_numbers_in_it_and_the_sources_below():
    hours = leaf("device_hours", 26_325_000, "device-h", source="metered")
    usd = product("usd", "USD", [hours, leaf("price", 2.0, "USD/device-h", source="list")])
    assert usd.formula == (
        "usd = device_hours 26,325,000 device-h × price 2 USD/device-h = 52,650,000 USD"
    )
    assert usd.sources == ("metered", "list")


def test_constants_have_no_source():
    assert constant(3600, "s/h").sources == ()


@pytest.mark.parametrize(
    ("x", "words"),
    [(3.7908e25, "3.791e25"), (26_325_000, "26,325,000"), (0.26, "0.26"), (0, "0"), (4e14, "4e14"),
     (1057.42, "1,057.42"), (2e-5, "2e-5")],
)  # fmt: skip
def test_numbers_are_printed_with_enough_digits_to_check(x, words):
    assert text(x) == words


def test_a_result_out_of_range_is_refused():
    huge = leaf("x", 1e200, "")
    with pytest.raises(InputError, match="usd is out of range"):
        product("usd", "USD", [huge, huge])
