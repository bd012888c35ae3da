"""Prices by kind, discounts, people, and the warnings around them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.estimate import estimate
from fitting.errors import InputError

TODAY = date(2026, 11, 21)


def priced(**kw):
    return estimate(flops=1e24, **{"device": "h100", "today": TODAY, **kw})


def codes(e):
    return {n.code for n in e.warnings}


@pytest.mark.parametrize(
    ("kind", "usd"), [("on-demand", 2.95), ("spot", 1.25), ("1y", 7.67), ("3y", 4.86)]
)
def test_each_kind_has_its_own_row_and_is_never_blended(kind, usd):
    assert priced(price_kind=kind).inputs["price"].value == usd


def test_a_provider_is_a_row_without_a_band():
    f = priced(provider="verda").inputs["price"]
    assert f.low == f.value == f.high == 2.29


@pytest.mark.parametrize(
    ("device", "kind", "left"),
    [("h200", "3y", 1 - 0.56), ("a100-sxm-40gb", "spot", 1 - 0.575), ("l4", "1y", 1 - 0.37),
     ("t4", "1y", 1 - 0.41), ("t4", "3y", 1 - 0.64)],
)  # fmt: skip
def test_a_kind_nobody_lists_is_derived_and_says_so(device, kind, left):
    listed = priced(device=device).inputs["price"].value
    e = priced(device=device, price_kind=kind)
    assert e.inputs["price"].value == pytest.approx(listed * left)
    assert "derived_price" in codes(e)


def test_a_device_without_a_price_has_no_dollars_rather_than_wrong_ones():
    e = priced(device="h20")
    assert e.get("usd") is None
    assert e.to_dict()["usd"] is None
    assert "no_price" in codes(e)


def test_a_price_older_than_a_year_is_warned_of_against_todays_date():
    assert "stale_price" in codes(priced(device="v100"))
    assert "stale_price" not in codes(priced())
    assert "stale_price" in codes(priced(today=date(2027, 6, 1)))
    message = "of 2025-03-03, more than a year before 2026-11-21: check it"
    assert any(message in n.message for n in priced(device="v100").warnings)


def test_a_price_far_off_its_kind_is_warned_of():
    assert "price_off_kind" in codes(priced(usd_per_device_h=0.5))
    assert "price_off_kind" not in codes(priced(usd_per_device_h=2.5))


def test_a_b200_at_a_cent_is_refused():
    with pytest.raises(InputError, match=r"0\.01 USD for an hour of b200-sxm .* 4\.89 to 6\.69"):
        priced(device="b200", usd_per_device_h=0.01)


@given(st.floats(0, 0.9), st.floats(0, 2))
def test_discount_and_overhead_act_on_the_rent(discount, overhead):
    plain, found = priced(), priced(discount=discount, overhead_share=overhead)
    assert found["usd"].value == pytest.approx(plain["usd"].value * (1 - discount))
    assert found["usd_total"].value == pytest.approx(found["usd"].value * (1 + overhead))


def test_staff_is_headcount_times_salary_times_years():
    e = priced(headcount=10, salary_usd=400e3, staff_years=0.5)
    assert e["usd_staff"].value == 2e6
    assert e["usd_total"].value == pytest.approx(e["usd"].value + 2e6)


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"headcount": 3}, "headcount 3 needs salary_usd"),
        ({"headcount": -1}, "headcount must be finite and not negative; got -1"),
        ({"discount": 30}, r"discount must lie in \[0, 1\); got 30 \(a percentage\?\)"),
        ({"usd_per_device_h": 0}, "usd_per_device_h must be a positive finite number; got 0"),
        ({"price_kind": "cheap"}, "price_kind must be one of"),
        ({"provider": "nobody"}, r"no on-demand price of h100-sxm at 'nobody'; known providers"),
    ],
)
def test_a_price_that_cannot_be_meant_is_named(kw, message):
    with pytest.raises(InputError, match=message):
        priced(**kw)
