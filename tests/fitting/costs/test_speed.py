"""Utilisation: four ways to know it, and the ceilings it may not pass."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.estimate import estimate
from fitting.costs.speed import band_of
from fitting.costs.tables import load_tables
from fitting.errors import InputError


def utilisation(**kw):
    return estimate(flops=1e24, **kw).inputs["utilisation"]


@pytest.mark.parametrize(
    ("device", "median", "low", "high"), [("h100", 0.26, 0.17, 0.36), ("a100", 0.35, 0.25, 0.48)]
)
def test_the_default_is_the_family_median_with_its_band(device, median, low, high):
    f = utilisation(device=device)
    assert (f.value, f.low, f.high) == (median, low, high)


@pytest.mark.parametrize(
    ("device", "product"), [("h100", 0.41 * 0.90 * 0.70), ("a100", 0.50 * 0.90 * 0.78)]
)
def test_the_decomposed_mode_multiplies_mfu_goodput_and_campaign(device, product):
    assert utilisation(device=device, utilisation="decomposed").value == pytest.approx(product)


@given(st.floats(0.01, 0.8))
def test_a_measured_mfu_is_taken_as_it_is(mfu):
    f = utilisation(device="h100", measured_mfu=mfu)
    assert f.low == f.value == pytest.approx(mfu)


def test_goodput_and_campaign_multiply_a_measured_mfu():
    f = utilisation(device="h100", measured_mfu=0.4, goodput=0.9, campaign=0.5)
    assert f.value == pytest.approx(0.18)


@given(st.floats(1e9, 1.5e11))
def test_measured_flop_s_replaces_peak_and_utilisation(flop_s):
    e = estimate(flops=1e13, device="cpu-core", measured_flop_s=flop_s)
    assert e["device_hours"].value == pytest.approx(1e13 / flop_s / 3600)


def test_a_core_nobody_measured_says_so():
    assert "assumed_speed" in {n.code for n in estimate(flops=1e13, device="cpu-core").warnings}
    measured = estimate(flops=1e13, device="cpu-core", measured_flop_s=5e10)
    assert "assumed_speed" not in {n.code for n in measured.warnings}


def test_fp8_is_a_modest_gain_and_never_two():
    f = utilisation(device="h100", precision="fp8")
    assert f.value == pytest.approx(0.26 * 1.2)
    assert f.high < 2 * 0.36


@pytest.mark.parametrize(
    ("device", "ceiling"), [("h100", 0.80), ("a100", 0.87), ("b200", 0.78), ("mi300x", 0.51)]
)
def test_a_utilisation_above_a_bare_matrix_product_is_refused(device, ceiling):
    assert load_tables().device(device).ceiling == pytest.approx(ceiling, abs=0.005)
    message = f"is above {ceiling:.2f}, what a bare matrix product reaches .*dense, not 2:4 sparse"
    with pytest.raises(InputError, match=message):
        utilisation(device=device, measured_mfu=ceiling + 0.02)


def test_a_utilisation_above_sixty_percent_is_warned_of():
    e = estimate(flops=1e24, device="h100", measured_mfu=0.7)
    assert "high_utilisation" in {n.code for n in e.warnings}
    assert any("more than any disclosed run" in n.message for n in e.warnings)


def test_a_device_nobody_disclosed_hours_of_says_so():
    e = estimate(flops=1e24, device="mi300x")
    assert "assumed_utilisation" in {n.code for n in e.warnings}
    assert e.inputs["utilisation"].value < 0.26  # its products reach 51 % of the peak only


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"measured_mfu": 45}, r"mfu must lie in \(0, 1\]; got 45 \(a percentage\?\)"),
        ({"measured_mfu": 0}, r"mfu must lie in \(0, 1\]; got 0$"),
        ({"measured_mfu": float("nan")}, r"mfu must lie in \(0, 1\]; got nan"),
        ({"measured_flop_s": -1}, "measured_flop_s must be a positive finite number; got -1"),
        ({"measured_flop_s": 4e14, "measured_mfu": 0.4}, "give one of"),
        ({"goodput": 90}, r"goodput must lie in \(0, 1\]; got 90 \(a percentage\?\)"),
        (
            {"goodput": 0.9},
            "goodput needs measured_mfu, or utilisation 'decomposed': a whole run's",
        ),
        ({"campaign": 0.7, "measured_flop_s": 4e14}, "campaign needs measured_mfu, or utilisation"),
        (
            {"precision": "fp8", "device": "a100"},
            "precision must be bf16 on a100.*, which has no fp8",
        ),
        ({"precision": "fp4"}, "precision must be one of"),
        ({"utilisation": "best"}, "utilisation must be one of"),
        ({"utilisation": "decomposed", "device": "mi300x"}, "is known for families"),
    ],
)
def test_a_speed_that_cannot_be_meant_is_named(kw, message):
    with pytest.raises(InputError, match=message):
        utilisation(**{"device": "h100", **kw})


@given(
    st.floats(1e8, 1e15), st.lists(st.tuples(st.floats(1e4, 1e9), st.floats(1e8, 1e15)), max_size=9)
)
def test_a_measured_speed_lies_inside_its_band(flop_s, runs):
    low, high = band_of(flop_s, runs)
    assert 0 < low <= flop_s / 1.0999
    assert high >= flop_s * 1.0999


def test_the_band_is_the_spread_about_the_trend_with_size():
    """Residuals +-.3 about speed = N^.5: sd = .3 sqrt(8 / 6) with two coefficients fitted."""
    runs = [(n, n**0.5 * math.exp(e)) for n in (1e5, 1e6, 1e7, 1e8) for e in (0.3, -0.3)]
    low, high = band_of(1e4, runs)
    times = math.exp(1.2816 * 0.3 * math.sqrt(8 / 6))
    assert (low, high) == (
        pytest.approx(1e4 / times, rel=1e-4),
        pytest.approx(1e4 * times, rel=1e-4),
    )
    assert band_of(1e4, [(n, n**0.5) for n, _ in runs]) == pytest.approx((1e4 / 1.1, 1.1e4))
    assert band_of(1e4, runs[:3]) == pytest.approx((1e4 / 1.1, 1.1e4))


def test_what_follows_from_a_measured_speed_has_its_band_and_says_whence():
    e = estimate(
        flops=1e13, device="cpu-core", measured_flop_s=5e10, measured_flop_s_band=(4e10, 6e10)
    )
    hours = e["device_hours"]
    assert hours.low == pytest.approx(1e13 / 6e10 / 3600)
    assert hours.high == pytest.approx(1e13 / 4e10 / 3600)
    assert any("at least 10 % (an assumption)" in source for source in hours.sources)
    for name in ("usd", "energy_kwh", "tco2e"):
        assert e[name].low < e[name].value < e[name].high


@pytest.mark.parametrize(
    "said", [{"measured_flop_s": 5e10}, {"measured_mfu": 0.3}, {"measured_flop_s": math.nan}, {}]
)
def test_a_band_that_does_not_hold_its_speed_is_refused(said):
    with pytest.raises(InputError, match="measured_flop_s"):
        estimate(flops=1e13, device="cpu-core", measured_flop_s_band=(6e10, 7e10), **said)
