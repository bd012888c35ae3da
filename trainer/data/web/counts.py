"""What cleaning took and left: documents and bytes at every step, with a reason for each loss.

Reads the statistics that datatrove's executor wrote; needs nothing of datatrove itself.
"""

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# Steps that name no reason: their one reason, in our words.
REASONS = {
    "extract": {
        "dropped": "no_text",
        "timeout": "timeout",
        "broken_process": "crash",
        "clean_error": "error",
    },
    "duplicates": {"dropped": "near_duplicate"},
}

Totals = Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCount:
    """One step. Bytes are the payload's before the first step, then UTF-8 text."""

    step: str
    n_in: int
    bytes_in: int
    n_out: int
    bytes_out: int
    dropped: dict[str, int] = field(default_factory=dict)
    n_changed: int = 0  # documents that stayed with another text

    def __post_init__(self) -> None:
        if self.n_in != self.n_out + sum(self.dropped.values()):
            raise RuntimeError(
                f"step {self.step} lost documents without a reason: {self.n_in} in, "
                f"{self.n_out} out, dropped {self.dropped}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """`steps` in their order; `domains`: name → (documents, bytes) that came out."""

    steps: tuple[StepCount, ...]
    domains: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for a, b in itertools.pairwise(self.steps):
            if (a.n_out, a.bytes_out) != (b.n_in, b.bytes_in):
                raise RuntimeError(f"documents got lost between the steps {a.step} and {b.step}")

    @property
    def n_in(self) -> int:
        return self.steps[0].n_in

    @property
    def n_out(self) -> int:
        return self.steps[-1].n_out

    @property
    def n_dropped(self) -> int:
        return sum(n for s in self.steps for n in s.dropped.values())

    def to_dict(self) -> dict[str, Any]:
        return {
            "n_in": self.n_in,
            "n_dropped": self.n_dropped,
            "n_out": self.n_out,
            "steps": [asdict(s) for s in self.steps],
            "domains": {
                name: {"n": n, "bytes": n_bytes}
                for name, (n, n_bytes) in sorted(self.domains.items())
            },
        }

    def losses(self) -> str:
        """One line for a person: `language 12 (language_de), duplicates 3 (near_duplicate)`."""
        lost = (s for s in self.steps if s.dropped)
        return ", ".join(
            f"{s.step} {sum(s.dropped.values())} ({', '.join(s.dropped)})" for s in lost
        )


def read_totals(logs: Path) -> list[Counter[str]]:
    """The statistics of every step of one stage, in order, summed over its tasks."""
    found: list[Counter[str]] = []
    for path in sorted((logs / "stats").glob("*.json")):
        steps = json.loads(path.read_text())
        found = found or [Counter() for _ in steps]
        for total, step in zip(found, steps, strict=True):
            for name, value in step["stats"].items():
                total[name] += value["total"] if isinstance(value, dict) else value
    return found


def step_counts(
    names: Sequence[str], totals: Sequence[Totals], before: Sequence[StepCount]
) -> list[StepCount]:
    """Counts of the steps `names`, which follow those in `before`.

    `totals` holds for each step what it counted itself and what came out of it; the first step
    of all says what it read.
    """
    n_in, bytes_in = _out(totals[0]) if not before else (before[-1].n_out, before[-1].bytes_out)
    counts = []
    for i, name in enumerate(names):
        own, (n_out, bytes_out) = totals[2 * i], _out(totals[2 * i + 1])
        counts.append(
            StepCount(
                step=name,
                n_in=n_in,
                bytes_in=bytes_in,
                n_out=n_out,
                bytes_out=bytes_out,
                dropped=_dropped(name, own),
                n_changed=own.get("changed", 0),
            )
        )
        n_in, bytes_in = n_out, bytes_out
    return counts


def _out(totals: Totals) -> tuple[int, int]:
    return totals.get("documents", 0), totals.get("bytes", 0)


def domain_counts(totals: Totals) -> dict[str, tuple[int, int]]:
    """`domain/web` and `domain_bytes/web`, as the writer counted them."""
    names = [k.removeprefix("domain/") for k in totals if k.startswith("domain/")]
    return {n: (totals[f"domain/{n}"], totals[f"domain_bytes/{n}"]) for n in sorted(names)}


def _dropped(name: str, own: Totals) -> dict[str, int]:
    if name in REASONS:
        pairs = ((reason, own.get(k, 0)) for k, reason in REASONS[name].items())
    else:
        pairs = ((k.removeprefix("dropped_"), n) for k, n in own.items() if k[:8] == "dropped_")
    return {reason: n for reason, n in sorted(pairs) if n}
