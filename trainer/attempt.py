"""What one attempt at a job keeps beside the training: its pace, the energy it used, and whether
it was told to stop.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trainer.energy import open_meter


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


class Energy:
    """A meter that may fail without harm to the training: what it then knows is None."""

    def __init__(self, device: str, *, n_processes: int = 1) -> None:
        """Several processes are not metered: each would see its own part, or all of them."""
        self.meter = open_meter(device) if n_processes == 1 else None

    def look(self) -> dict[str, Any] | None:
        """The reading so far; call it at least every ten minutes, a counter may wrap."""
        if self.meter is None:
            return None
        try:
            return self.meter.reading().to_dict()
        except (OSError, ValueError):
            self.meter = None
            return None


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
