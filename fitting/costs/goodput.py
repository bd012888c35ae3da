"""Share of wall time that trains, when devices fail and checkpoints block (Young 1974, Daly 2006).

    tau = sqrt(2 delta M)      waste = delta/tau + tau/2M + R/M

delta is the blocking time of a checkpoint, M the mean time between failures of the whole job, R
the time to restart. Valid for tau much shorter than M only; outside, it is clamped and says so.
"""

import math
from dataclasses import dataclass
from typing import Any

from fitting.costs.figures import positive
from fitting.costs.tables import Tables, load_tables

VALID = 0.1  # tau / M up to which the expansion holds
MOST = 0.95  # waste reported at most


@dataclass(frozen=True, kw_only=True, slots=True)
class Goodput:
    share: float
    mtbf_h: float  # of the job
    interval_s: float  # best time between checkpoints
    clamped: bool
    formula: str
    sources: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "value": self.share,
            "mtbf_h": self.mtbf_h,
            "checkpoint_interval_s": self.interval_s,
            "clamped": self.clamped,
            "formula": self.formula,
            "sources": list(self.sources),
        }


def young_daly(
    n_devices: int,
    *,
    mtbf_device_h: float | None = None,
    checkpoint_s: float | None = None,
    restart_s: float | None = None,
    tables: Tables | None = None,
) -> Goodput:
    """Goodput of a job on `n_devices`, checkpointing at the best interval.

    Args:
        mtbf_device_h: device-hours between interruptions; Llama 3's by default.
        checkpoint_s: blocking time of a checkpoint [s].
        restart_s: from failure to training again [s].
    """
    row = (tables or load_tables()).constants["goodput"]
    per_device = positive("mtbf_device_h", mtbf_device_h or row["mtbf_device_h"], "hours")
    delta = positive("checkpoint_s", checkpoint_s or row["checkpoint_s"], "seconds")
    restart = positive("restart_s", restart_s or row["restart_s"], "seconds")
    between = per_device / positive("n_devices", n_devices) * 3600
    tau = math.sqrt(2 * delta * between)
    waste = delta / tau + tau / (2 * between) + restart / between
    clamped = tau > VALID * between or waste > MOST
    waste = min(waste, MOST)
    note = " (clamped: the interval is no longer short against the failures)" if clamped else ""
    return Goodput(
        share=1 - waste,
        mtbf_h=between / 3600,
        interval_s=min(tau, between),
        clamped=clamped,
        formula=f"goodput = 1 - ({delta:g}/{tau:.4g} + {tau:.4g}/(2 × {between:.5g}) + "
        f"{restart:g}/{between:.5g}) = {1 - waste:.3f}, M = {between / 3600:.3g} h{note}",
        sources=(f"{row['source']} ({row['as_of']})",),
    )
