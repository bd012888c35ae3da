"""Which laws look at a run of this size. The rows are dated data in `tables/thresholds.csv`."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from fitting.costs.rows import Threshold
from fitting.costs.tables import Tables


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossing:
    row: Threshold
    ratio: float  # of the run's compute to the threshold
    crossed: bool
    status: str  # "in force", "revoked 2025-01-20", "from 2027-01-01"

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.row.id,
            "name": self.row.name,
            "flops": self.row.flops,
            "ratio": self.ratio,
            "crossed": self.crossed,
            "status": self.status,
            "meaning": self.row.meaning,
            "as_of": self.row.as_of,
            "source": self.row.source,
        }


def thresholds(flops: float, tables: Tables, today: date) -> tuple[Crossing, ...]:
    """Every threshold with the run's compute over it, smallest first.

    The laws count cumulative training compute, a fine-tuned base model's included.
    """
    rows = sorted(tables.thresholds, key=lambda t: t.flops)
    return tuple(
        Crossing(
            row=row, ratio=flops / row.flops, crossed=flops > row.flops, status=_status(row, today)
        )
        for row in rows
    )


def _status(row: Threshold, today: date) -> str:
    if row.until_date and today >= row.until_date:
        return f"revoked {row.until_date}"
    return f"from {row.from_date}" if today < row.from_date else "in force"
