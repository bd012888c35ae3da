"""What one attempt at a job keeps beside the training: its pace, the energy it used, and whether
it was told to stop or has nothing left to hope for.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from trainer.energy import open_meter

PATIENCE = 16
LOST = f"not finite, {PATIENCE} steps in a row or more (try a lower lr or a longer warm-up)"


class Pace:
    """Tokens per second of the steps alone: first steps (compilation) and evaluation apart."""

    def __init__(self, batch_tokens: int) -> None:
        self.batch_tokens = batch_tokens
        self.n_steps, self.seconds, self.last = 0, 0.0, 0.0
        self.skip = 2

    def restart(self) -> None:
        self.last = time.perf_counter()

    def step(self) -> None:
        now = time.perf_counter()
        if self.skip:
            self.skip -= 1
        else:
            self.n_steps += 1
            self.seconds += now - self.last
        self.last = now

    @property
    def tok_s(self) -> float:
        return self.n_steps * self.batch_tokens / self.seconds if self.seconds else 0.0


class Streak:
    """Steps that the guard skipped one after the other, as far as log lines can tell: a line that
    saw any step go well begins anew."""

    def __init__(self, n_skipped: int) -> None:
        self.n_skipped, self.n_steps, self.in_a_row = n_skipped, 0, 0

    def step(self) -> None:
        self.n_steps += 1

    def is_lost(self, n_skipped: int) -> bool:
        """A step that is not finite is skipped and does no harm; `PATIENCE` in a row do."""
        all_skipped = n_skipped - self.n_skipped == self.n_steps
        self.in_a_row = self.in_a_row + self.n_steps if all_skipped else 0
        self.n_skipped, self.n_steps = n_skipped, 0
        return self.in_a_row >= PATIENCE


class Energy:
    """A meter that may fail without harm to the training: what it then knows is None."""

    def __init__(self, device: str, *, n_sharing: int = 1) -> None:
        """Several processes of a run, or runs of a stack, are not metered: each would see its own
        part, or all of them."""
        self.meter = open_meter(device) if n_sharing == 1 else None

    def look(self) -> dict[str, Any] | None:
        """The reading so far; call it at least every ten minutes, a counter may wrap."""
        if self.meter is None:
            return None
        try:
            return self.meter.reading().to_dict()
        except (OSError, ValueError):
            self.meter = None
            return None


def is_oom(e: BaseException) -> bool:
    words = ("out of memory", "can't allocate memory", "not enough memory")
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(e, kinds) or any(w in str(e).lower() for w in words)


@contextmanager
def sigterm() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM came, instead of dying from it. Only a main thread may listen."""
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
