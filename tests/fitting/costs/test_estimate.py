"""The presets to the digits of their sources, and what scales with what."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.compare import disclosed_runs, side_by_side
from fitting.costs.estimate import estimate
from fitting.costs.tables import load_tables
from fitting.costs.thresholds import thresholds
from fitting.errors import InputError

TABLES = load_tables()
TODAY = date(2026, 11, 21)
LECTURE = {"n_params": 405e9, "n_tokens": 15.6e12, "preset": "cs229", "n_devices": 16000}
budgets = st.floats(1e9, 1e27)


def test_the_lecture_to_its_digits():
    e = estimate(**LECTURE)
    assert f"{e['flops'].value:.3e}" == "3.791e+25"
    assert round(e["device_hours"].value / 1e6, 1) == 26.3
    assert round(e["days"].value, 1) == 68.6
    assert e["usd"].value == 52.65e6
    assert e["usd_staff"].value == 25e6
    assert round(e["tco2e"].value) == 4423
    assert round(e.equivalences["flight"].value, -2) == 2200
    assert not e.project
    limits = {c.row.id: c.crossed for c in e.thresholds}
    assert limits["eu-systemic"]
    assert not limits["us-eo-14110"]


@pytest.mark.parametrize(
    ("hours", "tonnes"), [(184_320, "31.2"), (368_640, "62.4"), (1_720_320, "291.4")]
)
def test_meta_turns_llama_2_hours_into_its_tonnes(hours, tonnes):
    e = estimate(device_hours=hours, preset="meta", device="a100-sxm-80gb")
    assert f"{e['tco2e'].value:.1f}" == tonnes


def test_meta_is_within_3_5_percent_of_405bs_own_tonnes():
    e = estimate(device_hours=30.84e6, preset="meta", device="h100-sxm")
    assert e["tco2e"].value == pytest.approx(8930, rel=0.035)


def test_the_factor_of_two_between_lecture_and_meta_is_explained():
    gap = side_by_side(today=TODAY).gap
    assert gap.hours == pytest.approx(1.17, abs=0.005)
    assert gap.co2_per_hour == pytest.approx(1.72, abs=0.005)
    assert gap.total == pytest.approx(8930 / 4422.6)
    assert "x2.02 in CO2 = x1.17 in device-hours" in gap.sentence


def test_ours_has_meta_and_disclosed_hours_inside_its_band():
    ours = side_by_side(today=TODAY).ours
    hours = ours["device_hours"]
    assert hours.low < 30.84e6 < hours.high
    assert ours["flops_exact"].value == pytest.approx(2.6254e12 * 15.6e12, rel=1e-4)


def test_counts_carry_the_name_of_their_convention():
    model = TABLES.model("llama3-405b")
    e = estimate(architecture=model.architecture, n_tokens=1e12)
    assert e["flops"].formula.endswith("(6ND)")
    assert e["flops_exact"].formula.endswith("(6N + 12 L H d_h w)")
    assert e["flops_causal"].formula.endswith("(6N + 12 L H d_h w, w = T/2 unless sliding)")
    assert e["flops"].value < e["flops_causal"].value < e["flops_exact"].value


def test_at_least_four_of_five_disclosed_runs_lie_inside_the_band():
    rows = [r for r in disclosed_runs() if r.run.confidence in "AB"]
    assert len(rows) >= 26
    assert sum(r.inside for r in rows) / len(rows) >= 0.8
    several = [r for r in rows if r.run.device.startswith(("a100", "h100", "h800"))]
    assert sum(r.inside for r in several) / len(several) >= 0.8  # not the families of one run


def test_the_shipped_runs_are_those_of_the_reference(reference_data):
    import csv

    with (reference_data / "published_runs.csv").open() as f:
        rows = {r["id"]: r for r in csv.DictReader(f) if r["device_hours"]}
    assert set(rows) == set(TABLES.runs)
    for r in disclosed_runs():
        row = rows[r.run.id]
        assert r.run.device_h == float(row["device_hours"])
        implied = row["implied_utilisation_vs_bf16_peak"]
        assert not implied or r.implied_utilisation == pytest.approx(float(implied), abs=1e-3)


def test_preset_meta_without_hours_says_what_it_did():
    e = estimate(flops=1e24, preset="meta", device="h100")
    assert "computed_hours" in {n.code for n in e.warnings}


def test_disclosed_hours_show_the_utilisation_they_imply():
    e = estimate(n_params=405e9, n_tokens=15.6e12, device_hours=30.84e6, device="h100")
    assert e.inputs["utilisation"].value == pytest.approx(0.345, abs=5e-4)


@given(budgets, st.floats(1.001, 100))
def test_everything_but_people_grows_with_compute(flops, k):
    one, more = (estimate(flops=f, device="h100", n_devices=8) for f in (flops, flops * k))
    for name in one.figures:
        assert more[name].value == pytest.approx(one[name].value * k)


@given(st.integers(1, 100_000))
def test_devices_divide_the_days_and_nothing_else(n):
    """Counting every device twice was another tool's trap."""
    one, many = (estimate(flops=1e24, device="h100", n_devices=k) for k in (1, n))
    assert many["days"].value == pytest.approx(one["days"].value / n)
    for name in ("device_hours", "usd", "energy_kwh", "tco2e"):
        assert many[name].value == one[name].value


@given(st.floats(1, 2.5), st.floats(10, 1000), st.floats(50, 2000))
def test_each_factor_enters_where_its_dimension_says(pue, g_per_kwh, power_w):
    e = estimate(flops=1e22, device="a100", pue=pue, g_per_kwh=g_per_kwh, power_w=power_w)
    hours = e["device_hours"].value
    assert e["energy_it_kwh"].value == pytest.approx(hours * power_w / 1000 * 2.03)
    assert e["energy_kwh"].value == pytest.approx(e["energy_it_kwh"].value * pue)
    assert e["tco2e"].value == pytest.approx(e["energy_kwh"].value * g_per_kwh / 1e6)


@given(budgets, st.sampled_from(sorted(TABLES.devices)))
def test_every_figure_has_a_band_a_formula_and_sources(flops, device):
    e = estimate(flops=flops, device=device)
    for name, f in (e.figures | e.inputs).items():
        assert f.low <= f.value * (1 + 1e-12), name
        assert f.value <= f.high * (1 + 1e-12), name
        assert f.formula, name
        assert f.sources, name


def test_the_json_is_strict_and_has_the_promised_figures():
    d = json.loads(json.dumps(estimate(**LECTURE).to_dict(), allow_nan=False))
    for name in ("flops", "device_hours", "days", "usd", "energy_kwh", "tco2e"):
        assert {"value", "low", "high", "formula", "sources"} <= set(d[name])
    assert d["warnings"][0]["code"] == "stale_price"
    assert d["accounting"] == "location-based, average"


def test_the_project_around_a_final_run_is_shown():
    e = estimate(flops=1e24, device="h100", region="usa")
    shown = {who: row["usd"].value / e["usd"].value for who, row in e.project.items()}
    assert shown == pytest.approx({"morrison": 1.5, "llama1": 3.4, "olmo3": 5.6})
    assert set(estimate(flops=1e24, project_factor=2.0).project) == {"given"}


def test_thresholds_are_dated():
    found = {c.row.id: c for c in thresholds(3.791e25, TABLES, TODAY)}
    assert found["eu-systemic"].crossed
    assert found["eu-systemic"].status == "in force"
    assert found["us-eo-14110"].status == "revoked 2025-01-20"
    assert found["ca-sb53"].status == "in force"
    assert found["ny-raise"].status == "from 2027-01-01"
    before = {c.row.id: c.status for c in thresholds(1e26, TABLES, date(2024, 6, 1))}
    assert before["us-eo-14110"] == "in force"
    assert before["ca-sb53"] == "from 2026-01-01"


def test_no_device_is_an_h100_with_a_note():
    assert "no device given: h100-sxm assumed" in [n.message for n in estimate(flops=1e22).warnings]


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"flops": -1}, "flops must be a positive finite number; got -1"),
        ({"flops": float("nan")}, "flops must be a positive finite number; got nan"),
        ({"flops": 1e22, "n_params": 1e9}, "give flops, or n_params and n_tokens; not both"),
        ({"n_params": 1e9}, "n_tokens is missing: give flops, or n_params"),
        ({"n_tokens": 1e9}, "n_params is missing: give flops, or n_params"),
        ({}, "n_tokens is missing"),
        ({"flops": 1e22, "n_devices": 0}, "n_devices must be a whole number from 1; got 0"),
        ({"flops": 1e22, "n_devices": 2.5}, "n_devices must be a whole number from 1; got 2.5"),
        (
            {"flops": 1e22, "n_devices": float("nan")},
            "n_devices must be a whole number from 1; got",
        ),
        ({"flops": 1e22, "preset": "x"}, r"preset must be one of \['cs229', 'measured', 'meta'\]"),
        ({"flops": 1e22, "preset": "cs229", "device": "a100"}, "gives the speed of h100-sxm; got"),
        (
            {"device_hours": 5, "flops": 1e24, "device": "h100"},
            r"utilisation 56173.46 of h100-sxm is above 0.80, .* 5 device-hours are too few for 1e\+24",
        ),
        ({"device_hours": -3}, "device_hours must be a positive finite number; got -3"),
    ],
)
def test_a_question_that_cannot_be_meant_is_named(kw, message):
    with pytest.raises(InputError, match=message):
        estimate(**kw)


NUMBERS = ("flops", "device_hours", "measured_flop_s", "measured_mfu", "goodput", "discount", "pue",
           "overhead_share", "headcount", "salary_usd", "g_per_kwh", "power_w", "usd_per_device_h",
           "project_factor", "n_devices")  # fmt: skip


@given(st.sampled_from(NUMBERS), st.one_of(st.floats(), st.integers()))
def test_any_number_gives_finite_figures_or_a_sentence(name, value):
    given_ = {"flops": 1e22, "device": "h100", "headcount": 1, "salary_usd": 1e5} | {name: value}
    try:
        d = estimate(**given_).to_dict()
    except InputError:
        return
    json.dumps(d, allow_nan=False)
