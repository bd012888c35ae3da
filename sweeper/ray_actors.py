"""Executor on Ray: a pool of detached, named actors that stay warm between small runs.

Only translation lives here. A fresh actor costs half a second and `import torch` one more, a warm
one milliseconds. Actors outlive the dispatcher; a new one finds them by name and asks what they
are at. One call is in flight per actor; questions go through a concurrency group of their own, so
they are answered while it trains.

A call that is not answered in time makes its worker UNKNOWN, never dead.
"""

import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError

from sweeper import files
from sweeper.code import code_hash
from sweeper.executor import Executor, ExecutorLostError, Job, Need, Status, Ticket
from sweeper.ray_worker import ANSWER_S, ask, create, find, runtime_env

KILL_WAIT_S = 5.0
REST_S = 0.02


@dataclass(kw_only=True, slots=True)
class Member:
    """An actor of the pool, as this driver knows it."""

    handle: Any
    need: Need
    job: str = ""  # name of the attempt it was given; "" idle, "?" reserved
    ref: Any = None  # of the call that this driver sent
    node: str = ""


@dataclass(kw_only=True, slots=True)
class RayExecutor(Executor):
    """Call `connect` to make one."""

    n_cpus: int  # of the whole cluster
    n_gpus: int
    largest: Need  # of its machines: an actor lives on one
    head_lives: Callable[[], bool]
    pool: dict[str, Member] = field(default_factory=dict)

    def check(self) -> None:
        """Ray itself would notice after a minute, by ending this process."""
        if not self.head_lives():
            raise ExecutorLostError("the Ray cluster of this home is gone")

    def adopt(self, tickets: Sequence[Ticket]) -> None:
        given = {t.worker: t.name for t in tickets}
        names = [a["name"] if isinstance(a, dict) else a for a in ray.util.list_named_actors()]
        handles = {name: h for name in names if (h := find(name)) is not None}
        answers = ask(handles)
        mine = code_hash()
        for name, handle in handles.items():
            said = answers[name]
            if isinstance(said, RayActorError):
                continue
            if isinstance(said, dict):
                member = Member(handle=handle, need=Need(**said["need"]), job=said["job"])
                member.node = said["node"]
                if not member.job and said["code"] != mine:
                    ray.kill(handle)
                    continue
            else:  # no answer: whatever SQL says it does
                member = Member(handle=handle, need=Need(), job=given.get(name, ""))
            self.pool[name] = member

    def reserve(self, need: Need) -> str | None:
        idle = [n for n, m in self.pool.items() if not m.job]
        for name in idle:
            if self.pool[name].need == need:
                self.pool[name].job = "?"
                return name
        while not self._fits(need):
            if not idle:
                return None
            self._drop(idle.pop())
        name = f"worker-{uuid.uuid4().hex[:12]}"
        self.pool[name] = Member(handle=create(name, need), need=need, job="?")
        return name

    def _fits(self, need: Need) -> bool:
        cpus = sum(m.need.n_cpus for m in self.pool.values()) + need.n_cpus
        gpus = sum(m.need.n_gpus for m in self.pool.values()) + need.n_gpus
        return cpus <= self.n_cpus and gpus <= self.n_gpus

    def release(self, worker: str) -> None:
        if worker in self.pool:
            self.pool[worker].job = ""

    def start(self, worker: str, job: Job) -> None:
        member = self.pool[worker]
        member.ref = member.handle.run.remote(job.to_dict())
        member.job = job.name

    def poll(self, tickets: Sequence[Ticket]) -> Mapping[str, Status]:
        result, to_ask = {}, {}
        for ticket in tickets:
            member = self.pool.get(ticket.worker) or self._found_late(ticket)
            if member is None:
                result[ticket.name] = Status.LOST
            elif member.ref is not None:
                result[ticket.name] = self._own_call(ticket, member)
            else:
                to_ask[ticket.worker] = member.handle
        answers = ask(to_ask)
        for ticket in tickets:
            if ticket.worker in answers:
                result[ticket.name] = self._answer(ticket, answers[ticket.worker])
        return result

    def _found_late(self, ticket: Ticket) -> Member | None:
        handle = find(ticket.worker)
        if handle is not None:
            self.pool[ticket.worker] = Member(handle=handle, need=Need(), job=ticket.name)
        return self.pool.get(ticket.worker)

    def _own_call(self, ticket: Ticket, member: Member) -> Status:
        """Of a call that this driver sent and waits for."""
        ready, _ = ray.wait([member.ref], timeout=0)
        if not ready:
            return Status.RUNNING
        try:
            ray.get(member.ref, timeout=ANSWER_S)
        except ActorUnavailableError:
            member.ref = None  # from now on by asking
            return Status.UNKNOWN
        except RayActorError as e:
            return self._death(ticket, e)
        except GetTimeoutError:
            return Status.UNKNOWN
        except RayError:  # the actor's own code broke; it lives, and left no file
            pass
        member.job, member.ref = "", None
        return Status.ENDED

    def _answer(self, ticket: Ticket, said: Any) -> Status:
        """Of a worker that was asked, by an earlier driver's call."""
        if isinstance(said, RayActorError):
            return self._death(ticket, said)
        if not isinstance(said, dict):
            return Status.UNKNOWN
        member = self.pool[ticket.worker]
        member.need, member.node = Need(**said["need"]), said["node"]
        if said["job"] == ticket.name:
            return Status.RUNNING
        member.job = said["job"]
        return Status.ENDED

    def _death(self, ticket: Ticket, e: RayActorError) -> Status:
        """Its own, or that of its machine."""
        member = self.pool.pop(ticket.worker)
        alive = {n["NodeID"] for n in ray.nodes() if n["Alive"]}  # type: ignore[no-untyped-call]
        gone = e.preempted or (member.node and member.node not in alive)
        return Status.LOST if gone or "node" in str(e).lower() else Status.DEAD

    def stop(self, ticket: Ticket) -> None:
        member = self.pool.get(ticket.worker)
        if member is not None:
            member.handle.stop.remote(ticket.name)

    def kill(self, ticket: Ticket) -> bool:
        member = self.pool.get(ticket.worker)
        if member is not None and member.job not in (ticket.name, "?"):
            return True  # it is at something else: it does no more for this one
        self._drop(ticket.worker)
        until = time.monotonic() + KILL_WAIT_S
        while files.lock_holder(ticket.folder) is not None:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def _drop(self, worker: str) -> None:
        member = self.pool.pop(worker, None)
        handle = member.handle if member else find(worker)
        if handle is not None:
            ray.kill(handle)

    def reap(self, live: Collection[str]) -> list[str]:
        orphans = [
            (w, m.job) for w, m in self.pool.items() if m.job not in ("", "?") and m.job not in live
        ]
        for worker, _ in orphans:
            self._drop(worker)
        return [job for _, job in orphans]

    def rest(self, seconds: float) -> None:
        """A worker whose run has ended is not left idle until the next look."""
        refs = [m.ref for m in self.pool.values() if m.ref is not None]
        time.sleep(min(seconds, REST_S))  # an end that cannot be read yet must not make this spin
        if refs:
            ray.wait(refs, timeout=max(0.0, seconds - REST_S))
        else:
            time.sleep(max(0.0, seconds - REST_S))

    def slots(self) -> Need:
        return self.largest

    def close(self) -> None:
        self.pool.clear()
        ray.shutdown()


def connect(
    address: str, namespace: str, *, head_lives: Callable[[], bool] = lambda: True
) -> RayExecutor:
    """Join the cluster at `address`; never start or guess one."""
    ray.init(
        address=address,
        namespace=namespace,
        log_to_driver=False,
        configure_logging=False,
        runtime_env=runtime_env({"PYTHONPATH": str(Path(__file__).parents[1])}),
    )
    total = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return RayExecutor(
        n_cpus=int(total.get("CPU", 0)),
        n_gpus=int(total.get("GPU", 0)),
        largest=largest_of([n["Resources"] for n in ray.nodes() if n["Alive"]]),  # type: ignore[no-untyped-call]
        head_lives=head_lives,
    )


def largest_of(machines: Sequence[Mapping[str, float]]) -> Need:
    """The machine with most GPUs, and of those with most cores."""
    most = max(((m.get("GPU", 0), m.get("CPU", 0)) for m in machines), default=(0, 0))
    return Need(n_gpus=int(most[0]), n_cpus=int(most[1]))
