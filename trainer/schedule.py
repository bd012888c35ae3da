"""What happens at each step, as a pure function of the spec: segments and rates. No torch.

A run is a chain of segments: the trunk up to where a horizon's cooldown starts, the steps that cool
down to that horizon, the trunk again: from where the branch left it, or, in scheme "wsd-s", from
the cooled-down weights.
"""

import math
from dataclasses import dataclass
from typing import Literal

from trainer.config import RunSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Steps first … last - 1. A branch or cooldown ends in a measurement; after a branch the trunk
    resumes at the branch's start."""

    kind: Literal["trunk", "branch", "cooldown"]
    first: int
    last: int
    horizon: int  # tokens; of the cooldown, or of the one that the trunk leads to
    warm_from: int = 0  # step from which the rate last warmed up

    @property
    def cools(self) -> bool:
        return self.kind != "trunk"


def segments(spec: RunSpec) -> tuple[Segment, ...]:
    """In the order in which they are trained; empty trunks are left out."""
    chain = spec.schedule.scheme == "wsd-s"
    out: list[Segment] = []
    here = warm = 0
    for horizon in spec.horizons:
        last, start = horizon // spec.batch_tokens, spec.cooldown_start(horizon)
        at = {"horizon": horizon, "warm_from": warm}
        if start > here:
            out.append(Segment(kind="trunk", first=here, last=start, **at))
        out.append(Segment(kind="cooldown" if chain else "branch", first=start, last=last, **at))
        here, warm = (last, last) if chain else (start, 0)
    return tuple(out)


def n_steps(spec: RunSpec) -> int:
    """Steps of the whole job, branches included."""
    return sum(s.last - s.first for s in segments(spec))


def rate(spec: RunSpec, segment: Segment, step: int) -> float:
    """Multiplier of the learning rate at `step`: warm-up, 1, or the segment's cooldown."""
    level = min(1.0, (step - segment.warm_from + 1) / spec.warmup_steps)
    if not segment.cools:
        return level
    share = (step - segment.first) / (segment.last - segment.first)
    falling = 1 - math.sqrt(share) if spec.schedule.cooldown == "1-sqrt" else 1 - share
    return level * falling
