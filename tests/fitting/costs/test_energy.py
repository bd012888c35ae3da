"""Energy, carbon and water, each once and each labelled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.estimate import estimate
from fitting.errors import InputError


def used(**kw):
    return estimate(device_hours=1000.0, **{"device": "h100", **kw})


def test_the_default_is_measured_power_with_the_servers_share():
    e = used()
    assert e.inputs["power_w"].value == pytest.approx(700 * 0.83 * 1.82)
    assert e.inputs["power_w"].low == pytest.approx(700 * 0.75 * 1.82)
    assert e.inputs["power_w"].high == pytest.approx(700 * 0.92 * 1.82)


def test_pue_is_never_forgotten():
    assert used().inputs["pue"].value == 1.1
    assert used(site="other").inputs["pue"].value == 1.25
    assert used()["energy_kwh"].value == pytest.approx(1.1 * used()["energy_it_kwh"].value)


def test_a_v100_over_twelve_hours_is_kilowatt_hours_and_not_megawatt_hours():
    """Another tool printed 5,432 kWh."""
    e = estimate(device_hours=12, device="v100", power_w=300, pue=1.0)
    assert 3 < e["energy_kwh"].value < 12


@given(st.floats(1, 3))
def test_water_applies_pue_to_the_grids_part_alone(pue):
    """E after PUE must not be multiplied by WUE on site."""
    e = used(pue=pue)
    it = e["energy_it_kwh"].value
    assert e["water_l"].value == pytest.approx(it * (0.36 + pue * 3.14))
    assert e["energy_kwh"].value == pytest.approx(it * pue)


def test_a_regions_own_pue_and_intensity_are_used():
    e = used(region="europe-west4")
    assert e.inputs["pue"].value == 1.07
    assert e.inputs["g_per_kwh"].value == pytest.approx(208.81)
    assert used(region="europe-west4", marginal=True).inputs["g_per_kwh"].value == 501.34


def test_every_carbon_figure_is_labelled():
    assert used().to_dict()["accounting"] == "location-based, average"
    assert "(location-based, average)" in used()["tco2e"].formula
    marginal = used(region="us-central1", marginal=True)
    assert "(location-based, marginal)" in marginal["tco2e"].formula
    market = used(accounting="market", g_per_kwh=12)
    assert "(market-based, average)" in market["tco2e"].formula


def test_market_based_needs_a_contract():
    with pytest.raises(InputError, match="market-based needs g_per_kwh of the contract"):
        used(accounting="market", region="usa")


def test_without_a_region_the_band_spans_the_world_and_says_so():
    e = used()
    assert e["tco2e"].high / e["tco2e"].low > 4
    assert "assumed_region" in {n.code for n in e.warnings}
    assert "assumed_region" not in {n.code for n in used(region="usa").warnings}


def test_an_h100_hour_embodies_20_to_33_grams():
    f = used()["tco2e_embodied"]
    assert f.low * 1e6 / 1000 == pytest.approx(20, abs=1)
    assert f.high * 1e6 / 1000 == pytest.approx(33, abs=1)


def test_a_device_whose_power_is_not_published_has_no_energy():
    e = used(device="tpu-v5p")
    assert e.get("tco2e") is None
    assert "no_power" in {n.code for n in e.warnings}


def test_a_flight_is_two_tonnes():
    e = used()
    assert e.equivalences["flight"].value == pytest.approx(e["tco2e"].value / 2)


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"pue": 0.9}, r"pue must lie in \[1, 10\].*got 0.9"),
        ({"region": "mars"}, "region 'mars' is unknown"),
        ({"g_per_kwh": -5}, "g_per_kwh must be a positive finite number; got -5"),
        ({"power_w": float("inf")}, "power_w must be a positive finite number; got inf"),
        ({"region": "usa", "marginal": True}, "region 'usa' has no marginal intensity"),
        ({"site": "attic"}, "site must be one of"),
    ],
)
def test_a_place_that_cannot_be_meant_is_named(kw, message):
    with pytest.raises(InputError, match=message):
        used(**kw)
