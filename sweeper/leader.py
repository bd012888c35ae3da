"""One dispatcher at a time, on one machine and across machines.

On one machine a file lock in the home decides, which the kernel frees when its holder dies: whoever
has it knows that a lease held from the same home is a dead process's, and need not wait. Across
machines the lease in SQL decides, and a rival waits until it has been silent for long enough.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from store import leases
from store.engine import reading, writing
from sweeper import files

LEASE = "dispatcher"
TTL_S = 5.0  # a silent holder loses the lease after this, on the rival's own stopwatch


@dataclass(kw_only=True, slots=True)
class Mandate:
    """Being in charge: transactions that only the holder of the lease can commit."""

    engine: Engine
    epoch: int
    beat_s: float  # a sign of life at least so often
    _beat_at: float = 0.0

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Raises LeaseLostError: someone else is in charge."""
        with writing(self.engine) as session:
            leases.hold(session, LEASE, self.epoch)
            yield session
        self._beat_at = time.monotonic()

    def beat(self) -> None:
        if time.monotonic() - self._beat_at > self.beat_s:
            with self.writing():
                pass


@contextmanager
def leading(
    engine: Engine, home: Path, should_stop: Callable[[], bool], *, ttl_s: float = TTL_S
) -> Iterator[int | None]:
    """Wait until this process is in charge: the epoch of its lease, or None if told to stop."""
    folder = home / "dispatcher"
    folder.mkdir(parents=True, exist_ok=True)
    while not should_stop():
        with files.holding_lock(folder, wait_s=0.3) as alone_here:
            if alone_here is None:
                continue
            epoch = _lease(engine, _here(home), should_stop, ttl_s=ttl_s)
            yield epoch
            if epoch is not None:
                with writing(engine) as session:
                    leases.release(session, LEASE, epoch)
            return
    yield None


def _here(home: Path) -> str:
    return f"{socket.gethostname()}:{home}"[:150]


def _lease(
    engine: Engine, here: str, should_stop: Callable[[], bool], *, ttl_s: float, poll_s: float = 0.3
) -> int | None:
    watch, me = leases.Watch(), f"{here}#{os.getpid()}"
    while not should_stop():
        with reading(engine) as session:
            gone = leases.holder(session, LEASE).rpartition("#")[0] == here
        with writing(engine) as session:
            epoch = leases.acquire(session, LEASE, me, watch=watch, ttl_s=ttl_s, gone=gone)
        if epoch is not None:
            return epoch
        time.sleep(poll_s)
    return None
