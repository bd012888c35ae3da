"""What the dispatcher asks of whatever executes: a small protocol, and its words.

Two implementations: `sweeper.ray_actors` (a pool of warm, detached actors) and
`sweeper.processes` (local processes, for tests and laptops). Results do not pass through here:
a worker leaves files in its run's folder (`sweeper.files`).
"""

import enum
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

DEFAULT_PAYLOAD = "trainer.job:run_job"


class Status(enum.StrEnum):
    RUNNING = enum.auto()
    ENDED = enum.auto()  # the worker is through with it: its files say how
    DEAD = enum.auto()  # died while watched: the run's failure
    LOST = enum.auto()  # its machine is gone, or it died unwatched: nobody's failure
    UNKNOWN = enum.auto()  # no answer in time. Not dead: nothing may be concluded


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What one worker occupies, and how many processes train together on it."""

    n_cpus: int = 1
    n_gpus: int = 0
    n_processes: int = 1

    def times_in(self, n_cpus: int, n_gpus: int, used: Iterable[Self] = ()) -> int:
        """How often it fits into so much, beside what is used."""
        used = list(used)
        cpus = (n_cpus - sum(n.n_cpus for n in used)) // max(1, self.n_cpus)
        gpus = (n_gpus - sum(n.n_gpus for n in used)) // self.n_gpus if self.n_gpus else cpus
        return max(0, min(cpus, gpus))


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One attempt, in plain values that travel to a worker."""

    name: str  # run-7-a2
    attempt: int  # the fencing token
    folder: str
    data_dir: str
    spec: dict[str, Any]
    device: str
    code_hash: str
    need: Need
    checkpoint_every_s: float = 15.0
    payload: str = DEFAULT_PAYLOAD  # "module:function"; ours, never the user's

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        return cls(**{**d, "need": Need(**d["need"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """Where an attempt was sent: enough to find it again after a restart."""

    name: str
    worker: str
    folder: Path


class ExecutorLostError(Exception):
    """What executes is gone as a whole; a new process has to connect anew."""


class Executor(Protocol):
    """Not thread-safe; one dispatcher owns it. Calls return within seconds."""

    def check(self) -> None:
        """Raises ExecutorLostError: the cluster itself is gone."""

    def adopt(self, tickets: Sequence[Ticket]) -> None:
        """Look for these after a restart; their workers may live."""

    def reserve(self, need: Need) -> str | None:
        """Name of a worker that can take a job now, or None while there is no room."""

    def start(self, worker: str, jobs: Sequence[Job]) -> None:
        """Send `jobs` to a reserved worker: one, or several that train together where it can."""

    @property
    def can_stack(self) -> bool:
        """Whether a worker takes several jobs."""
        return False

    def n_free(self, need: Need) -> int:
        """How many workers with this need there is room for now."""

    def release(self, worker: str) -> None:
        """Give a reservation back unused."""

    def poll(self, tickets: Sequence[Ticket]) -> Mapping[str, Status]:
        """Status by name of ticket."""

    def stop(self, ticket: Ticket) -> None:
        """Ask it to write a checkpoint and end; asking again changes nothing."""

    def kill(self, ticket: Ticket) -> bool:
        """End it at once. True when it is certain that it does nothing more."""

    def reap(self, live: Collection[str]) -> list[str]:
        """Kill whatever executes a job whose name is not in `live`; returns the names."""

    def rest(self, seconds: float) -> None:
        """Wait so long, or less where it is known at once that a job has ended."""
        time.sleep(seconds)

    def slots(self) -> Need:
        """The most that one worker can get: all of the largest machine, used or not."""

    def close(self) -> None:
        """Let go; workers that run go on running."""


def environment(n_threads: int) -> dict[str, str]:
    """Set before a worker starts: one thread per core asked for, an allocator that keeps what it
    has (measured: +30 % tokens/s with two processes), and the shared cache of compiled kernels."""
    return {
        "OMP_NUM_THREADS": str(n_threads),
        "MKL_NUM_THREADS": str(n_threads),
        "OPENBLAS_NUM_THREADS": str(n_threads),
        "THP_MEM_ALLOC_ENABLE": "1",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(64 * 2**30),
        "MALLOC_TOP_PAD_": str(64 * 2**20),
        **{name: os.environ[name] for name in ("TORCHINDUCTOR_CACHE_DIR",) if name in os.environ},
    }
