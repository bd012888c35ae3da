"""Measured energy of a run, where the machine can tell: NVML for a GPU, RAPL for the CPU. No torch.

    meter = open_meter("cuda:0")        None where nothing can be read
    ...                                 meter.joules() now and then, at least every ten minutes
    reading = meter.reading()           joules, seconds, source, scope

A counter counts everything that runs on its part of the machine, not this process alone, and
neither memory, fans nor power supply are in it: `scope` says what is.
"""

import ctypes
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
J_PER_KWH = 3.6e6
_NVML = "libnvidia-ml.so.1"  # comes with the driver: no Python package is needed


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was used between opening the meter and now."""

    joules: float
    seconds: float
    source: str  # "nvml" or "rapl"
    scope: str  # "one GPU board", "2 CPU packages"

    @property
    def kwh(self) -> float:
        return self.joules / J_PER_KWH

    @property
    def watts(self) -> float:
        """Average power; 0 before any time has passed."""
        return self.joules / self.seconds if self.seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"kwh": self.kwh, "watts": self.watts}


class Meter:
    """Sums counters that only grow, and that may wrap once between two looks at them."""

    def __init__(
        self,
        counters: Mapping[Callable[[], float], float],
        *,
        source: str,
        scope: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`counters`: how to read each [J], and where it wraps [J] (infinity: never)."""
        self._wraps = dict(counters)
        self._last = {read: read() for read in self._wraps}
        self._used, self._clock, self._start = 0.0, clock, clock()
        self.source, self.scope = source, scope

    def joules(self) -> float:
        """Energy since the meter was opened [J]."""
        for read, wrap in self._wraps.items():
            now = read()
            step = now - self._last[read]
            self._used += step if step >= 0 else step + wrap
            self._last[read] = now
        return self._used

    def reading(self) -> Reading:
        """Energy and time since the meter was opened."""
        used = self.joules()
        return Reading(
            joules=used,
            seconds=self._clock() - self._start,
            source=self.source,
            scope=self.scope,
        )


def open_meter(device: str, *, powercap: Path = POWERCAP) -> Meter | None:
    """A meter for `device` ("cpu", "cuda", "cuda:1"); None where it cannot be read.

    On a GPU the board alone is metered, the CPU beside it is not.
    """
    kind, _, index = device.partition(":")
    return _nvml(_visible(int(index or 0))) if kind == "cuda" else _rapl(powercap)


def _rapl(powercap: Path) -> Meter | None:
    """Intel's and AMD's package counters, readable by root only on most machines."""
    counters: dict[Callable[[], float], float] = {}
    for zone in sorted(powercap.glob("*-rapl:*")):
        if zone.name.count(":") != 1:  # a part of a package, which is counted already
            continue
        path = zone / "energy_uj"
        try:
            if not (zone / "name").read_text().startswith("package"):
                continue  # `psys` of a laptop: the whole platform, the packages in it
            wrap = int((zone / "max_energy_range_uj").read_text()) / 1e6
            counters[_file_joules(path)] = wrap
            _file_joules(path)()
        except (OSError, ValueError):
            return None
    scope = f"{len(counters)} CPU package{'s' if len(counters) > 1 else ''}"
    return Meter(counters, source="rapl", scope=scope) if counters else None


def _file_joules(path: Path) -> Callable[[], float]:
    return lambda: int(path.read_text()) / 1e6


def _visible(index: int) -> str:
    """The driver's name of torch's device `index`: CUDA_VISIBLE_DEVICES renumbers them."""
    listed = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return listed[index].strip() if index < len(listed) else str(index)


def _nvml(gpu: str) -> Meter | None:
    """The board's own counter [mJ], Volta and later."""
    try:
        nvml = ctypes.CDLL(_NVML)
    except OSError:
        return None
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
    if nvml.nvmlInit_v2() or _handle(nvml, gpu, handle):
        return None

    def joules() -> float:
        if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
            raise OSError(f"NVML stopped telling the energy of GPU {gpu}")
        return millijoules.value / 1e3

    try:
        return Meter({joules: float("inf")}, source="nvml", scope="one GPU board")
    except OSError:
        return None


def _handle(nvml: Any, gpu: str, handle: ctypes.c_void_p) -> int:
    """0 where the device was found, by number or by a UUID such as GPU-1234…"""
    if gpu.isdigit():
        return int(
            nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(gpu)), ctypes.byref(handle))
        )
    return int(nvml.nvmlDeviceGetHandleByUUID(gpu.encode(), ctypes.byref(handle)))
