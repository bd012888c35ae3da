import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import format as f


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("count", 67.1e9, "67.1B"),
        ("count", 999_950, "1.00M"),
        ("count", 950, "950"),
        ("power", 2.9999e12, "3.00·10¹²"),
        ("power", 9.999e12, "1.00·10¹³"),
        ("power", 0, "0"),
        ("power", 5.76e-7, "5.76·10⁻⁷"),
        ("loss", 1.08254, "1.0825"),
        ("hours", 25 / 60, "25 min"),
        ("hours", 3.2e-5, "0.12 s"),
        ("hours", 68.6 * 24, "68.6 days"),
        ("device_hours", 622_229, "622k h"),
        ("usd", 0.0000956, "$9.6e-05"),
        ("usd", 52.65e6, "$52.6M"),
        ("mass", 3e-7, "0.3 g"),
        ("mass", 4423, "4.42 kt"),
        ("energy", 0.00062, "0.62 Wh"),
        ("percent", -0.0041, "-0.41 %"),
        ("count", None, "–"),
    ],
)
def test_numbers_read_as_people_write_them(form, value, text):
    assert f.FORMATS[form](value) == text


@pytest.mark.parametrize("form", ["count", "power", "mass", "energy", "usd"])
@given(value=st.floats(1e-9, 1e26))
def test_nothing_positive_is_rounded_to_nothing(form, value):
    text = f.FORMATS[form](value)
    assert any(c in "123456789" for c in text)


@given(value=st.floats(1e-30, 1e30))
def test_powers_keep_three_digits(value):
    text = f.power(value).translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    mantissa, _, exponent = text.partition("·10")
    assert math.isclose(float(mantissa) * 10.0 ** int(exponent or 0), value, rel_tol=0.0051)


def test_an_interval_says_where_it_is_open_or_exact():
    assert f.interval((1e3, 2e3)) == "1.00k … 2.00k"
    assert f.interval((1e3, None)) == "1.00k … unbounded"
    assert f.interval((2.0, 2.0)) == "exact"
    assert f.interval(None) == "–"
