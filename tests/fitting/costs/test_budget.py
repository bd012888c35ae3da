"""Every unit of a budget, there and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.budget import FIGURE, parse_budget
from fitting.costs.tables import load_tables
from fitting.costs.units import parse_amount, parse_count
from fitting.errors import InputError

TABLES = load_tables()
PRICED = sorted(
    {p.device for p in TABLES.prices} & {d.id for d in TABLES.devices.values() if d.tdp_w}
)


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("5.76e23FLOP", 5.76e23, "flop"),
        ("3.8e25", 3.8e25, "flop"),
        ("3 EFLOP", 3e18, "flop"),
        ("1 PF-day", 8.64e19, "flop"),
        ("26M gpu-h", 26e6, "device_h"),
        ("26 million GPU hours", 26e6, "device_h"),
        ("720gpuh", 720, "device_h"),
        ("720 h100-hours", 720, "device_h"),
        ("$75M", 75e6, "usd"),
        ("75 million dollars", 75e6, "usd"),
        ("5000usd", 5000, "usd"),
        ("10 kUSD", 1e4, "usd"),
        ("USD 1,234.5", 1234.5, "usd"),
        ("30 days", 30, "days"),
        ("2 weeks", 14, "days"),
        ("12 h", 0.5, "days"),
        ("500 tCO2e", 500, "tco2e"),
        ("10tco2e", 10, "tco2e"),
        ("3 kg CO2", 0.003, "tco2e"),
        ("500 tCO₂e", 500, "tco2e"),
        ("2 MWh", 2000, "kwh"),
        ("300kWh", 300, "kwh"),
    ],
)
def test_amounts_in_their_units(text, amount, unit):
    found = parse_amount(text)
    assert found.value == pytest.approx(amount)
    assert found.unit == unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 days on 10,000 h100", {"device": "h100-sxm", "n_devices": 10_000}),
        ("10,000 H100 for 30 days", {"device": "h100-sxm", "n_devices": 10_000, "amount": 30}),
        ("64 A100 for 2 weeks spot in us-central1",
         {"n_devices": 64, "amount": 14, "price_kind": "spot", "region": "us-central1"}),
        ("30d@1024xh100-sxm", {"device": "h100-sxm", "n_devices": 1024}),
        ("12 h on 8 × A100 in Germany", {"device": "a100-sxm-80gb", "region": "deu"}),
        ("10 kUSD spot a100 in europe-west4",
         {"device": "a100-sxm-80gb", "price_kind": "spot", "region": "europe-west4"}),
        ("1.5M h100-h spot", {"device": "h100-sxm", "price_kind": "spot"}),
        ("2 h on 2 cpu-core", {"device": "cpu-core", "n_devices": 2}),
    ],
)  # fmt: skip
def test_the_machine_place_and_contract_are_read(text, expected):
    budget = parse_budget(text)
    assert {name: getattr(budget, name) for name in expected} == expected


def test_the_same_budget_in_any_form_is_the_same_compute():
    same = ["30 days on 1,024 h100", "30d@1024xh100-sxm", "1024 H100 for 30 days", "737280 h100-h"]
    assert len({parse_budget(t).to_flops().flops.value for t in same}) == 1


@given(
    st.sampled_from(sorted(FIGURE)),
    st.floats(1e-3, 1e12),
    st.sampled_from(PRICED),
    st.integers(1, 100_000),
    st.sampled_from(
        [{}, {"region": "europe-west4"}, {"region": "usa", "discount": 0.3, "overhead_share": 0.2}]
    ),
)
def test_a_budget_comes_back_when_its_compute_is_priced(unit, amount, device, n, more):
    word = {"flop": "flop", "device_h": "gpu-h", "usd": "usd", "days": "days", "tco2e": "tco2e",
            "kwh": "kwh"}[unit]  # fmt: skip
    amount = amount * 1e12 if unit == "flop" else amount
    text = f"{amount!r} {word}" + (f" on {n} {device}" if unit == "days" else f" {device}")
    found = parse_budget(text).to_flops(**more)
    assert found.estimate()[FIGURE[unit]].value == pytest.approx(amount, rel=1e-12)
    assert found.flops.low <= found.flops.value * (1 + 1e-12)
    assert found.flops.value <= found.flops.high * (1 + 1e-12)


def test_staff_is_paid_out_of_the_budget_and_comes_back():
    """The lecture's $75M: 25 for people, 50 for 25M hours at $2."""
    found = parse_budget("$75M").to_flops(preset="cs229")
    assert found.flops.value == pytest.approx(25e6 * 3600 * 400e12)
    assert found.estimate()["usd_total"].value == pytest.approx(75e6, rel=1e-12)


def test_a_measured_speed_prices_laptop_sweeps():
    found = parse_budget("1e12 flop on cpu-core").to_flops(measured_flop_s=5e10)
    assert found.estimate()["device_hours"].value == pytest.approx(1e12 / 5e10 / 3600)
    assert 0 < found.estimate()["usd"].value < 1e-3


@pytest.mark.parametrize(
    "stated", [{"measured_mfu": 0.3}, {"measured_flop_s": 7e10}, {"device": "h100"}]
)
def test_a_stated_speed_or_device_drops_the_sweeps_own_speed_and_its_band(stated):
    own = {"device": "cpu-core", "measured_flop_s": 5e10, "measured_flop_s_band": (4e10, 6e10)}
    found = parse_budget("1e20 flop").to_flops(defaults=own, **stated)
    assert found.rates.assumptions.measured_flop_s_band is None
    for name, value in stated.items():
        assert getattr(found.rates.assumptions, name) == value


def test_assumptions_are_shown_with_the_compute():
    d = parse_budget("10 kUSD spot a100 in europe-west4").to_flops().to_dict()
    assert d["assumptions"]["price_kind"] == "spot"
    assert d["assumptions"]["region"] == "europe-west4"
    assert "price (spot a100-sxm-80gb at verda)" in d["flops"]["formula"] or d["flops"]["sources"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no amount; write one of: 5.76e23FLOP"),
        ("lots", "has no amount"),
        ("nan flop", "has no amount"),
        ("-5 usd", "budget must be positive and finite; got '-5 usd'"),
        ("0 gpu-h", "budget must be positive and finite"),
        ("1e400 flop", "budget must be positive and finite"),
        ("10 parsec", "unknown unit 'parsec'; write one of: 5.76e23FLOP, 26M gpu-h"),
        ("10 eur", "unknown unit 'eur'"),
        ("1e3 flop", r"is 1000 FLOP, less than one training step: give the unit \(1e3 PFLOP"),
        ("5 days on 0 h100", "0 devices; give at least 1"),
        ("5 days on 8 h1000", "device 'h1000' is unknown; did you mean"),
        ("5 days", r"days of what\? name the machine, as in '30 days on 8 h100'"),
        ("10 gpu-h in atlantis", "region 'atlantis' is unknown"),
        ("$10 h20", "no price of h20 is known; give usd_per_device_h"),
        ("3 t tpu-v5p", "the power of tpu-v5p is not published; give power_w"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_named(text, message):
    with pytest.raises(InputError, match=message):
        parse_budget(text).to_flops()


def test_text_and_argument_may_not_contradict_each_other():
    with pytest.raises(InputError, match="says device h100-sxm; got device=a100: give one"):
        parse_budget("5 days on 8 h100").to_flops(device="a100")
    assert parse_budget("5 days on 8 h100").to_flops(device="H100").rates.device.id == "h100-sxm"


def test_a_sweeps_own_machine_holds_until_another_is_named():
    laptop = {"device": "cpu-core", "measured_flop_s": 5e10}
    here = parse_budget("100 core-h").to_flops(defaults=laptop)
    assert here.rates.device.id == "cpu-core"
    assert here.flops.value == pytest.approx(100 * 3600 * 5e10)
    there = parse_budget("100 h100-h").to_flops(defaults=laptop)
    assert there.flops.value == pytest.approx(100 * 3600 * 989e12 * 0.26)
    same = parse_budget("100 h100-h").to_flops(defaults={"device": "h100", "measured_mfu": 0.4})
    assert same.flops.value == pytest.approx(100 * 3600 * 989e12 * 0.4)


def test_a_run_is_priced_at_the_budgets_own_rates():
    found = parse_budget("30d@1024xh100-sxm").to_flops()
    run = found.estimate(n_params=7e10, n_tokens=1.4e12)
    assert run.rates.n_devices == 1024
    assert run["flops"].value == 6 * 7e10 * 1.4e12


def test_a_budget_below_its_own_staff_is_refused():
    with pytest.raises(InputError, match="does not pay its own staff of 25,000,000 USD"):
        parse_budget("$20M").to_flops(preset="cs229")


@pytest.mark.parametrize(
    ("text", "value"), [("405e9", 405e9), ("405B", 405e9), ("15.6T", 15.6e12), ("70 billion", 7e10)]
)
def test_counts_may_have_a_scale(text, value):
    assert parse_count(text, field="n_params") == pytest.approx(value)


@pytest.mark.parametrize("text", ["nan", "-1", "0", "1 apple", "", "1e999"])
def test_a_count_that_cannot_be_meant_is_named(text):
    with pytest.raises(InputError, match="n_params must be"):
        parse_count(text, field="n_params")


@given(st.floats(1e9, 1e30))
def test_numbers_survive_being_written(flops):
    assert math.isclose(parse_amount(f"{flops!r} FLOP").value, flops)


WORDS = st.sampled_from(
    ["10", "1e30", "-3", "0", "1e-300", "$", "usd", "k", "M", "gpu-h", "days", "d", "on", "@", "x",
     "h100", "spot", "in", "usa", "tCO2e", "MWh", "flop", "for", "of", ",", "1e308", "nan", "1,5"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=30), st.lists(WORDS, max_size=7).map(" ".join),
                 st.lists(WORDS, max_size=7).map("".join)))  # fmt: skip
def test_whatever_is_written_is_a_budget_or_a_sentence(text):
    try:
        flops = parse_budget(text).to_flops().flops
    except InputError:
        return
    assert 0 < flops.low <= flops.value * (1 + 1e-12) < math.inf
