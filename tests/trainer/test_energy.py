"""Measured energy: counters that wrap, machines that cannot tell."""

import ctypes
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer import energy, meters
from trainer.energy import Meter, open_meter


def package(root, name, microjoules, wrap=262_143_328_850, what="package-0"):
    zone = root / name
    zone.mkdir(parents=True)
    (zone / "name").write_text(f"{what}\n")
    (zone / "max_energy_range_uj").write_text(f"{wrap}\n")
    (zone / "energy_uj").write_text(f"{microjoules}\n")
    return zone / "energy_uj"


def test_packages_are_summed_and_their_parts_are_not_counted_twice(tmp_path):
    first, second = (package(tmp_path, f"intel-rapl:{i}", 5_000_000) for i in (0, 1))
    part = package(tmp_path, "intel-rapl:0:0", 0, what="core")
    laptop = package(tmp_path, "intel-rapl:2", 0, what="psys")
    meter = open_meter("cpu", powercap=tmp_path)
    first.write_text("8000000")
    second.write_text("6000000")
    part.write_text("99000000")
    laptop.write_text("99000000")
    reading = meter.reading()
    assert reading.joules == pytest.approx(3 + 1)
    assert (reading.source, reading.scope) == ("rapl", "2 CPU packages")
    assert reading.kwh == pytest.approx(4 / 3.6e6)


def test_a_counter_that_wrapped_goes_on(tmp_path):
    file = package(tmp_path, "intel-rapl:0", 9_000_000, wrap=10_000_000)
    meter = open_meter("cpu", powercap=tmp_path)
    file.write_text("2000000")
    assert meter.joules() == pytest.approx(3)
    file.write_text("2500000")
    assert meter.joules() == pytest.approx(3.5)


@given(st.lists(st.floats(0, 60), min_size=1, max_size=30))
def test_the_sum_of_the_steps_is_what_was_used(steps):
    state = {"total": 1.0}
    meter = Meter({lambda: state["total"] % 100: 100.0}, source="rapl", scope="test")
    for step in steps:
        state["total"] += step
        meter.joules()
    assert meter.joules() == pytest.approx(sum(steps), abs=1e-9)


def test_a_machine_without_counters_has_no_meter(tmp_path):
    assert open_meter("cpu", powercap=tmp_path) is None


def test_an_unreadable_counter_is_no_meter(tmp_path):
    package(tmp_path, "intel-rapl:0", 0).unlink()
    assert open_meter("cpu", powercap=tmp_path) is None


def test_no_driver_is_no_meter(monkeypatch):
    monkeypatch.setattr(energy, "_NVML", "libno-such-driver.so")
    assert open_meter("cuda:0") is None


def fake_driver():
    """What NVML answers, in its own units."""
    driver = SimpleNamespace(millijoules=1000, asked=[], nvmlInit_v2=lambda: 0)

    def by_index(index, handle):
        driver.asked.append(index.value)
        return 0

    def by_uuid(uuid, handle):
        driver.asked.append(uuid)
        return 0

    def consumption(handle, out):
        out._obj.value = driver.millijoules
        return 0

    driver.nvmlDeviceGetHandleByIndex_v2 = by_index
    driver.nvmlDeviceGetHandleByUUID = by_uuid
    driver.nvmlDeviceGetTotalEnergyConsumption = consumption
    return driver


@pytest.mark.parametrize(
    ("visible", "device", "asked"),
    [("", "cuda:1", 1), ("3,5", "cuda:1", 5), ("GPU-ab", "cuda", b"GPU-ab")],
)
def test_a_gpu_is_the_one_torch_sees(monkeypatch, visible, device, asked):
    driver = fake_driver()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    meter = open_meter(device)
    driver.millijoules += 2500
    assert meter.reading().joules == pytest.approx(2.5)
    assert driver.asked == [asked]


def test_power_is_energy_over_time():
    now = iter([0.0, 4.0])
    total = iter([0.0, 800.0])
    meter = Meter({lambda: next(total): float("inf")}, source="nvml", scope="one GPU board",
                  clock=lambda: next(now))  # fmt: skip
    reading = meter.reading()
    assert reading.watts == 200
    assert reading.to_dict()["seconds"] == 4


@pytest.mark.gpu
def test_a_real_gpu_uses_power():
    meter = open_meter("cuda:0")
    if meter is None:
        pytest.skip("no NVIDIA driver here, or one that does not tell energy")
    assert meter.joules() >= 0


def test_a_meter_that_breaks_does_not_end_the_training(tmp_path, monkeypatch):
    file = package(tmp_path, "intel-rapl:0", 1_000_000)
    monkeypatch.setattr(meters, "open_meter", lambda device: open_meter(device, powercap=tmp_path))
    metered = meters.Energy("cpu")
    file.write_text("3000000")
    found = metered.look()
    assert (found["joules"], found["source"]) == (pytest.approx(2), "rapl")
    file.unlink()
    assert metered.look() is metered.look() is None


def test_several_processes_are_not_metered(tmp_path, monkeypatch):
    package(tmp_path, "intel-rapl:0", 1_000_000)
    monkeypatch.setattr(meters, "open_meter", lambda device: open_meter(device, powercap=tmp_path))
    assert meters.Energy("cpu", n_sharing=2).look() is None
