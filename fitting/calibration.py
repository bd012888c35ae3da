"""How often did the 90 % interval hold on held-out budgets? The only test a real sweep allows.

For every budget but the first few, everything is fitted to the smaller ones and asked about it;
the measured least loss either lies in the interval or not.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fitting.analysis import analyse
from fitting.errors import RefusalError
from fitting.isoflop import budgets, parabola
from fitting.measurements import Measurements

MIN_SEEN = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One held-out budget, and what had been predicted for it."""

    flops: float
    n_budgets_seen: int
    loss: float  # measured least loss
    predicted: float
    low: float
    high: float
    method: str

    @property
    def held(self) -> bool:
        return self.low <= self.loss <= self.high

    def to_dict(self) -> dict[str, Any]:
        row = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**row, "held": self.held}


def calibration(m: Measurements, *, n_bootstrap: int = 300, seed: int = 0) -> list[Trial]:
    """Every larger budget predicted from every smaller prefix of budgets.

    Raises:
        RefusalError: fewer than four budgets.
    """
    found = budgets(m)
    if len(found) <= MIN_SEEN:
        raise RefusalError(f"a calibration needs {MIN_SEEN + 1} budgets; got {len(found)}", code="too_few_budgets")  # fmt: skip
    trials: list[Trial] = []
    for n_seen in range(MIN_SEEN, len(found)):
        rows = np.concatenate([b.rows for b in found[:n_seen]])
        try:
            a = analyse(m.select(rows), n_bootstrap=n_bootstrap, seed=seed)
        except RefusalError:
            continue
        for b in found[n_seen:]:
            q = parabola(np.log(m.n_params[b.rows]), m.loss[b.rows], b.flops)
            measured = float(m.loss[b.rows].min()) if q.reason else q.loss
            loss = a.recommend(b.flops).loss
            trials.append(Trial(flops=b.flops, n_budgets_seen=n_seen, loss=measured,
                                predicted=loss.value, low=loss.low, high=loss.high,
                                method=a.trusted))  # fmt: skip
    return trials
