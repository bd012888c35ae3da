"""How fast one device trains: achieved 6ND FLOP/s over a whole run.

Utilisation over a whole run is not the MFU people report: it counts restarts, evaluation and idle
time too. Four ways to know it, from best to least: measured FLOP/s, measured MFU, MFU x goodput x
campaign, and the median of what was disclosed for the device's family.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fitting.costs.assumptions import Assumptions
from fitting.costs.figures import Figure, leaf, product
from fitting.costs.rows import Device
from fitting.costs.tables import Tables
from fitting.errors import InputError, Note

LEAST_BAND = 1.1  # assumption: the same run on another day, at other loads of the machine
MEASURED = "measured on this device"
SPREAD = "; band: P10 to P90 of runs about their trend with size, at least 10 % (an assumption)"
HIGH_UTILISATION = 0.60  # nobody has disclosed a whole run above it


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    peak: Figure  # dense, one device
    flop_s: Figure  # achieved, one device
    utilisation: Figure  # of the dense peak
    notes: tuple[Note, ...] = ()


def speed(a: Assumptions, tables: Tables, device: Device) -> Speed:
    """Achieved FLOP/s of one device under these assumptions.

    Raises:
        InputError: a utilisation above what a matrix product reaches on the device, or a
            precision that it does not have.
    """
    if a.precision == "fp8" and device.fp8_tflops is None:
        raise InputError(
            f"precision must be bf16 on {device.id}, which has no fp8 (an overlay's row may say "
            "fp8_tflops); got 'fp8'", field="precision",
        )  # fmt: skip
    preset = tables.preset(a.preset)
    peak = leaf(
        f"dense {device.peak_dtype} peak of {device.id}",
        device.peak_flop_s,
        "FLOP/s",
        source=device.source_of("peak"),
    )
    flop_s = _stated_flop_s(a, preset)
    notes: tuple[Note, ...] = ()
    if flop_s is not None:
        share = product("utilisation", "of the dense peak", [flop_s], [peak])
    else:
        share, notes = _share(a, tables, device)
        flop_s = product("achieved", "FLOP/s", [peak, share])
    given = a.measured_mfu is not None or a.measured_flop_s is not None or "flop_s" in preset
    return Speed(
        peak=peak,
        flop_s=flop_s,
        utilisation=share,
        notes=notes + _check(a, device, share.value, given=given),
    )


def band_of(flop_s: float, runs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Low and high of `flop_s`, the speed expected of the next run, from (N, FLOP/s) of a sweep's.

    Speed grows with size, so the spread is taken about the line of ln speed over ln N: 1.28
    standard deviations of its residuals, P10 and P90, and at least a factor of `LEAST_BAND`. That
    alone where fewer than four runs or a single size leave no line to take it about.
    """
    times = LEAST_BAND
    x, y = [math.log(n) for n, _ in runs], [math.log(s) for _, s in runs]
    if len(runs) > 3 and len(set(x)) > 1:
        slope, at_0 = statistics.linear_regression(x, y)
        squares = math.fsum((b - at_0 - slope * a) ** 2 for a, b in zip(x, y, strict=True))
        p90 = statistics.NormalDist().inv_cdf(0.9)
        times = max(times, math.exp(p90 * math.sqrt(squares / (len(runs) - 2))))
    return flop_s / times, flop_s * times


def _stated_flop_s(a: Assumptions, preset: Mapping[str, Any]) -> Figure | None:
    if a.measured_flop_s is not None:
        band = a.measured_flop_s_band
        source = a.flop_s_source or MEASURED + (SPREAD if band else "")
        return leaf("achieved", a.measured_flop_s, "FLOP/s", band=band, source=source)
    if a.measured_mfu is None and a.utilisation == "family" and "flop_s" in preset:
        return leaf("achieved", preset["flop_s"], "FLOP/s", source=preset["source"])
    return None


def _share(a: Assumptions, tables: Tables, device: Device) -> tuple[Figure, tuple[Note, ...]]:
    if a.measured_mfu is not None:
        mfu = leaf("measured MFU", a.measured_mfu, "", source=MEASURED)
        return product("utilisation", "of the dense peak", [mfu, *_losses(a)]), ()
    if a.utilisation == "decomposed":
        return _decomposed(a, tables, device), ()
    share, notes = _family(tables, device)
    if a.precision == "fp8":
        gain = tables.constant("fp8_gain", name="gain of fp8")
        share = product("utilisation", "of the dense peak", [share.named("bf16 utilisation"), gain])
    return share, notes


def _losses(a: Assumptions) -> list[Figure]:
    pairs = (("goodput", a.goodput), ("campaign efficiency", a.campaign))
    return [leaf(name, value, "") for name, value in pairs if value is not None]


def _decomposed(a: Assumptions, tables: Tables, device: Device) -> Figure:
    rows = tables.constants["decomposed"]
    if device.family not in rows:
        raise InputError(
            f"utilisation 'decomposed' is known for families {sorted(rows)}; {device.id} is of "
            f"{device.family!r}: give measured_mfu, goodput and campaign",
            field="utilisation",
        )
    row = rows[device.family]
    source = f"{row['source']} ({row['as_of']})"
    mfu = leaf("steady MFU", row["steady_mfu"], "", source=source)
    stay = leaf("goodput", a.goodput or row["goodput"], "", source=source)
    rest = leaf("campaign efficiency", a.campaign or row["campaign"], "", source=source)
    return product("utilisation", "of the dense peak", [mfu, stay, rest])


def _family(tables: Tables, device: Device) -> tuple[Figure, tuple[Note, ...]]:
    if device.family != "other" and device.family in tables.constants["utilisation"]:
        share = tables.constant("utilisation", device.family, unit="of the dense peak")
        return share.named("utilisation"), _stand_in(device)
    message = (
        f"nobody has disclosed device-hours of {device.id}: the median of other families is used; "
        "pass measured_mfu or measured_flop_s from a sweep"
    )
    note = (Note("assumed_utilisation", message),)
    if device.ceiling_tflops is None:
        share = tables.constant("utilisation", "other", unit="of the dense peak")
        return share.named("utilisation"), note
    source = device.source_of("peak")
    ceiling = leaf("matmul ceiling", device.ceiling, "of the dense peak", source=source)
    share = tables.constant("ceiling_share", "other", name="share of the ceiling")
    return product("utilisation", "of the dense peak", [ceiling, share]), note


def _stand_in(device: Device) -> tuple[Note, ...]:
    if device.family != "cpu":
        return ()
    message = f"{device.id} stands for any core: pass measured_flop_s from a sweep on yours"
    return (Note("assumed_speed", message),)


def _check(a: Assumptions, device: Device, share: float, *, given: bool) -> tuple[Note, ...]:
    if not given or (device.family == "cpu" and a.measured_flop_s is not None):
        return ()  # a core's peak is a stand-in: what was measured replaces it
    field = "measured_mfu" if a.measured_mfu is not None else "measured_flop_s"
    remedy = "check the peak (dense, not 2:4 sparse) and that recomputation is not counted"
    check_ceiling(a, device, share, field=field, remedy=remedy)
    if share > HIGH_UTILISATION:
        message = f"utilisation {share:.2f} is above .60, more than any disclosed run: check it"
        return (Note("high_utilisation", message),)
    return ()


def check_ceiling(a: Assumptions, device: Device, share: float, *, field: str, remedy: str) -> None:
    """Raises InputError: a utilisation above what a matrix product reaches on the device."""
    ceiling = device.ceiling * (1 if a.precision == "bf16" else 2)
    if share > ceiling:
        raise InputError(
            f"utilisation {share:.2f} of {device.id} is above {ceiling:.2f}, what a bare matrix "
            f"product reaches ({device.ceiling_tflops or device.peak_tflops:g} of "
            f"{device.peak_tflops:g} TFLOP/s): {remedy}",
            field=field,
        )
