"""Executor of local processes: one process per attempt, for tests and for machines without Ray.

Processes outlive the dispatcher. Whether one lives is read off the lock of its run's folder, which
the kernel frees when it dies: no process id that may have been given to someone else is trusted.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sweeper import files
from sweeper.executor import Executor, Job, Need, Status, Ticket, environment

KILL_WAIT_S = 5.0


@dataclass(kw_only=True, slots=True)
class ProcessExecutor(Executor):
    """At most `n_cpus` threads and `n_gpus` devices at work."""

    n_cpus: int
    n_gpus: int = 0
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)  # by job
    _reserved: dict[str, Need] = field(default_factory=dict)  # by worker
    _needs: dict[str, Need] = field(default_factory=dict)  # by job
    _seen: set[str] = field(default_factory=set)  # jobs that this executor saw alive
    _tickets: dict[str, Ticket] = field(default_factory=dict)
    _n_started: int = 0

    def check(self) -> None:
        """The operating system is always there."""

    def adopt(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            if files.lock_holder(ticket.folder) is not None:
                self._tickets[ticket.name] = ticket
                self._needs[ticket.name] = _need_of(ticket)
                self._seen.add(ticket.name)

    def reserve(self, need: Need) -> str | None:
        if not self.n_free(need):
            return None
        self._n_started += 1
        worker = f"process-{os.getpid()}-{self._n_started}"
        self._reserved[worker] = need
        return worker

    def release(self, worker: str) -> None:
        self._reserved.pop(worker, None)

    def start(self, worker: str, jobs: Sequence[Job]) -> None:
        (job,) = jobs
        folder = Path(job.folder)
        order = folder / f"job-{job.attempt}.json"
        files.write_json(order, job.to_dict())
        with (folder / f"log-{job.attempt}.txt").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "sweeper.worker", str(order)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | environment(job.need.n_cpus),
                start_new_session=True,  # Ctrl-C and the end of the dispatcher do not reach it
            )
        self._children[job.name] = child
        self._needs[job.name] = self._reserved.pop(worker)
        self._tickets[job.name] = Ticket(name=job.name, worker=worker, folder=folder)
        self._seen.add(job.name)

    def poll(self, tickets: Sequence[Ticket]) -> Mapping[str, Status]:
        return {ticket.name: self._status(ticket) for ticket in tickets}

    def _status(self, ticket: Ticket) -> Status:
        child = self._children.get(ticket.name)
        alive = child.poll() is None if child else files.lock_holder(ticket.folder) is not None
        if alive:
            return Status.RUNNING
        watched = ticket.name in self._seen
        self._forget(ticket.name)
        if files.is_over(ticket.folder, ticket.name):
            return Status.ENDED
        return Status.DEAD if watched else Status.LOST

    def stop(self, ticket: Ticket) -> None:
        self._signal(ticket, signal.SIGTERM)

    def kill(self, ticket: Ticket) -> bool:
        until = time.monotonic() + KILL_WAIT_S
        while self._alive(ticket):
            self._signal(ticket, signal.SIGKILL)
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        self._forget(ticket.name)
        return True

    def _alive(self, ticket: Ticket) -> bool:
        child = self._children.get(ticket.name)
        if child is not None and child.poll() is None:
            return True
        return files.lock_holder(ticket.folder) is not None

    def _signal(self, ticket: Ticket, number: int) -> None:
        child = self._children.get(ticket.name)
        pid = child.pid if child else files.lock_holder(ticket.folder)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def reap(self, live: Collection[str]) -> list[str]:
        orphans = [t for name, t in self._tickets.items() if name not in live]
        return [t.name for t in orphans if self.kill(t)]

    def slots(self) -> Need:
        return Need(n_cpus=self.n_cpus, n_gpus=self.n_gpus)

    def n_free(self, need: Need) -> int:
        used = [*self._needs.values(), *self._reserved.values()]
        return need.times_in(self.n_cpus, self.n_gpus, used)

    def close(self) -> None:
        for child in self._children.values():
            if child.poll() is None:
                child.returncode = 0  # it outlives this process, so nobody here waits for it
        self._children.clear()

    def _forget(self, name: str) -> None:
        for known in (self._children, self._needs, self._tickets):
            known.pop(name, None)


def _need_of(ticket: Ticket) -> Need:
    order = files.read_json(ticket.folder / f"job-{files.number_of(ticket.name)}.json")
    return Job.from_dict(order).need if order else Need()
