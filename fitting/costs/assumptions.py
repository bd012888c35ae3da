"""Everything a price depends on besides the training compute itself, as the caller states it.

What is left out comes from the preset, then from the tables; whatever was filled in is said in the
result's notes. The same object prices a run and turns a budget into compute.
"""

import math
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from fitting.costs.figures import positive
from fitting.costs.rows import PRICE_KINDS, Device, as_date
from fitting.costs.tables import Tables
from fitting.errors import InputError, Note

_POSITIVE = ("measured_flop_s", "usd_per_device_h", "g_per_kwh", "power_w", "project_factor")
_SHARES = ("measured_mfu", "goodput", "campaign")
_AMOUNTS = ("discount", "overhead_share", "headcount", "salary_usd", "staff_years")
_CHOICES = {
    "utilisation": ("family", "decomposed"),
    "accounting": ("location", "market"),
    "precision": ("bf16", "fp8"),
    "price_kind": ("", *PRICE_KINDS),
    "site": ("hyperscaler", "other"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumptions:
    """Empty or None means: not stated."""

    preset: str = "measured"
    device: str = ""
    n_devices: int | None = None
    # how fast: at most one of these
    measured_flop_s: float | None = None  # achieved 6ND FLOP/s of one device
    measured_flop_s_band: tuple[float, float] | None = None  # its low and high, `speed.band_of`
    flop_s_source: str = ""  # where measured_flop_s comes from; empty: this device
    measured_mfu: float | None = None  # of the dense peak, in (0, 1]
    utilisation: str = "family"  # or "decomposed": steady MFU x goodput x campaign
    goodput: float | None = None  # share of wall time that trains; multiplies measured_mfu
    campaign: float | None = None  # final run's hours over all hours billed; likewise
    precision: str = "bf16"
    # what it costs
    price_kind: str = ""
    provider: str = ""
    usd_per_device_h: float | None = None
    discount: float = 0.0
    overhead_share: float = 0.0  # storage, network, idle: on top of the device-hours
    headcount: float | None = None
    salary_usd: float | None = None  # loaded, per year
    staff_years: float | None = None
    project_factor: float | None = None  # whole project over final run
    # where it runs
    region: str = ""
    site: str = "hyperscaler"
    accounting: str = "location"
    marginal: bool = False
    g_per_kwh: float | None = None
    pue: float | None = None
    power_w: float | None = None  # one device, averaged over training
    today: date | None = None  # prices are judged old against it; None: the clock's date

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        for name in _SHARES:
            _share(name, getattr(self, name))
        for name in _AMOUNTS:
            _amount(name, getattr(self, name))
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} must be one of {[a for a in allowed if a]}; got {getattr(self, name)!r}",
                    field=name,
                )
        self._check_band()
        self._check_place()

    def _check_band(self) -> None:
        if self.measured_flop_s_band is None:
            return
        low, high = self.measured_flop_s_band
        if self.measured_flop_s is None or not 0 < low <= self.measured_flop_s <= high < math.inf:
            raise InputError(
                "measured_flop_s_band must be a low and a high around measured_flop_s; got "
                f"({low:g}, {high:g}) around {self.measured_flop_s}",
                field="measured_flop_s_band",
            )

    def _check_place(self) -> None:
        n = self.n_devices
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise InputError(f"n_devices must be a whole number from 1; got {n}", field="n_devices")
        if self.pue is not None and not 1 <= self.pue <= 10:
            raise InputError(
                f"pue must lie in [1, 10], total over IT energy; got {self.pue}", field="pue"
            )
        for name in ("discount",):
            if getattr(self, name) >= 1:
                raise InputError(
                    f"{name} must lie in [0, 1); got {getattr(self, name)} (a percentage?)",
                    field=name,
                )
        stated = [n for n in ("measured_flop_s", "measured_mfu") if getattr(self, n) is not None]
        stated += ["utilisation"] if self.utilisation == "decomposed" else []
        if len(stated) > 1:
            raise InputError(f"give one of {stated}, not all of them", field=stated[1])
        for name in ("goodput", "campaign"):
            if getattr(self, name) is not None and stated not in (
                ["measured_mfu"],
                ["utilisation"],
            ):
                raise InputError(
                    f"{name} needs measured_mfu, or utilisation 'decomposed': "
                    "a whole run's speed has its losses in it already", field=name,
                )  # fmt: skip

    @property
    def date(self) -> date:
        return self.today or datetime.now(UTC).date()

    def stated(self) -> dict[str, Any]:
        """What the caller said, for print and JSON."""
        said = {k: v for k, v in asdict(self).items() if v not in (None, "", 0.0, False)}
        return said | {"today": self.date.isoformat()}

    def resolve_device(self, tables: Tables) -> tuple[Device, tuple[Note, ...]]:
        """The device stated, or the preset's, or the market's usual one with a note.

        Raises:
            InputError: a preset made for one device is asked about another.
        """
        own = str(tables.preset(self.preset).get("device", ""))
        if self.device and own and tables.device(self.device).id != own:
            raise InputError(
                f"preset {self.preset!r} gives the speed of {own}; got device "
                f"{self.device!r} (use preset 'measured')",
                field="device",
            )
        if self.device or own:
            return tables.device(self.device or own), ()
        message = "no device given: h100-sxm assumed"
        return tables.device("h100-sxm"), (Note("assumed_device", message),)

    def is_old(self, as_of: str) -> bool:
        """More than a year before today."""
        return (self.date - as_date(as_of)).days > 365


def _share(name: str, value: float | None) -> None:
    if value is not None and not 0 < value <= 1:
        hint = " (a percentage?)" if 1 < value <= 100 else ""
        raise InputError(f"{name} must lie in (0, 1]; got {value}{hint}", field=name)


def _amount(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value < math.inf:
        raise InputError(f"{name} must be finite and not negative; got {value}", field=name)
