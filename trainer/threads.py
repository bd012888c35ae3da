"""How many threads a run is worth. Tiny operations cost more to share than to do, the more so on
a busy machine, so a probe on the run's own shape decides; a resumed run goes on as it began.

Cores are paid for: twice as many are taken as long as they make a step half again as fast, so that
the same run costs at most a third more. The probe is eager; a compiled step gains about as much.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from trainer.config import RunSpec
from trainer.execution import Execution
from trainer.meters import is_oom
from trainer.probe import training_step

PROBE_STEPS = 5  # after one that warms up
WORTH = 1.5  # times as fast, for twice the threads


def with_threads(
    spec: RunSpec, execution: Execution, *, resumed: dict[str, Any] | None
) -> Execution:
    """`execution` with as many of the threads this process was given as pay off."""
    if resumed:
        return replace(execution, n_threads=resumed["execution"].get("n_threads", 1))
    offered = torch.get_num_threads()
    if execution.device != "cpu" or offered == 1:
        return replace(execution, n_threads=offered)
    n_windows = spec.batch_tokens // spec.model.context
    try:
        step = training_step(spec.model, n_windows, replace(execution, compiled=False, graph=False))
        n_threads = worth(offered, lambda n: step_seconds(step, n))
    except (MemoryError, RuntimeError) as e:
        if not is_oom(e):
            raise
        n_threads = 1  # the run itself will find out, and say so
    return replace(execution, n_threads=n_threads)


def worth(offered: int, seconds: Callable[[int], float]) -> int:
    """How many of the threads offered to use, by the seconds a step takes with so many."""
    n, here = 1, seconds(1)
    while n < offered:
        more = min(2 * n, offered)
        there = seconds(more)
        if there * WORTH ** math.log2(more / n) > here:
            break
        n, here = more, there
    return n


@contextmanager
def using_threads(n_threads: int) -> Iterator[None]:
    """Afterwards as before: a warm worker's next run is offered all of them again."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def step_seconds(step: Callable[[], object], n_threads: int) -> float:
    """The median of a few steps: what else runs on the machine is part of the question."""
    with using_threads(n_threads):
        step()
        return statistics.median(_timed(step) for _ in range(PROBE_STEPS))


def _timed(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started
