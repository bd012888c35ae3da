"""What happens at each step, as a pure function of the spec: segments and rates. No torch.

A run is a chain of segments: the trunk up to where a horizon's cooldown starts, the branch that
cools down to that horizon, the trunk again from where the branch left it, and so on.
"""

import math
from dataclasses import dataclass
from typing import Literal

from trainer.config import RunSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Steps first … last - 1. A branch ends in a measurement; the trunk resumes at its start."""

    kind: Literal["trunk", "branch"]
    first: int
    last: int
    horizon: int  # tokens; of the branch, or of the branch that the trunk leads to


def segments(spec: RunSpec) -> tuple[Segment, ...]:
    """In the order in which they are trained; empty trunks are left out."""
    out: list[Segment] = []
    here = 0
    for horizon in spec.horizons:
        last, start = horizon // spec.batch_tokens, spec.cooldown_start(horizon)
        if start > here:
            out.append(Segment(kind="trunk", first=here, last=start, horizon=horizon))
        out.append(Segment(kind="branch", first=start, last=last, horizon=horizon))
        here = start
    return tuple(out)


def n_steps(spec: RunSpec) -> int:
    """Steps of the whole job, branches included."""
    return sum(s.last - s.first for s in segments(spec))


def rate(spec: RunSpec, segment: Segment, step: int) -> float:
    """Multiplier of the learning rate at `step`: warm-up, 1, or the branch's cooldown."""
    warm = max(1, round(spec.horizons[0] / spec.batch_tokens * spec.schedule.warmup_share))
    level = min(1.0, (step + 1) / warm)
    if segment.kind == "trunk":
        return level
    share = (step - segment.first) / (segment.last - segment.first)
    falling = 1 - math.sqrt(share) if spec.schedule.cooldown == "1-sqrt" else 1 - share
    return level * falling
