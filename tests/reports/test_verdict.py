"""Forecast against outcome, as tables for people."""

from reports.sections import verdict

BAND = {"value": 2.0, "low": 1.9, "high": 2.1}
LAUNCH = {
    "id": 1, "run_id": 7, "state": "finished", "sealed_at": "2026-11-21T10:00:00+00:00",
    "forecast_sha256": "ab" * 32,
    "forecast": {"loss": BAND, "n_params": 1e6, "n_tokens": 2e7, "flops": 1.2e14,
                 "cost": {"energy_kwh": {"value": 1.0, "low": 0.8, "high": 1.3}}},
    "outcome": {"status": "finished", "loss": 2.02, "relative_error": 0.01, "inside": True,
                "cost": {"energy_kwh": 1.1}},
}  # fmt: skip


def labels(launch):
    return {fact.label: fact.value for fact in verdict.forecast(launch).facts}


def test_the_estimate_is_set_against_the_outcome():
    section = verdict.forecast(LAUNCH)
    assert ("Energy", "1.00 kWh", "800 Wh … 1.30 kWh", "1.10 kWh", "10.0 %") in section.tables[
        0
    ].rows


def test_what_a_meter_saw_stands_beside_it_with_its_name():
    metered = {"measured_energy_kwh": 0.9, "energy_source": "nvml: one GPU board"}
    launch = LAUNCH | {"outcome": LAUNCH["outcome"] | metered}
    assert labels(launch)["Energy by nvml: one GPU board"] == "900 Wh"


def test_without_a_meter_or_an_outcome_nothing_is_claimed():
    for launch in (LAUNCH, LAUNCH | {"outcome": None}):
        assert not any(label.startswith("Energy") for label in labels(launch))
