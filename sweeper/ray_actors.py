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
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError

from sweeper import files
from sweeper.code import code_hash
from sweeper.executor import Executor, ExecutorLostError, Job, Need, Status, Ticket
from sweeper.ray_worker import ANSWER_S, ask, create, find

KILL_WAIT_S = 5.0
LEAVE_S = 120.0  # a compilation may be under way
REST_S = 0.02
RESERVED = ("?",)  # as the jobs of a worker that is promised to one


@dataclass(kw_only=True, slots=True)
class Member:
    """An actor of the pool, as this driver knows it."""

    handle: Any
    need: Need
    jobs: tuple[str, ...] = ()  # names of the attempts it was given; none: idle
    ref: Any = None  # of the call that this driver sent
    node: str = ""
    leaving: dict[str, float] = field(default_factory=dict)  # job: when it was first asked to


@dataclass(kw_only=True, slots=True)
class RayExecutor(Executor):
    """Call `sweeper.ray_cluster.connect` to make one."""

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
        names = [a["name"] if isinstance(a, dict) else a for a in ray.util.list_named_actors()]
        handles = {name: h for name in names if (h := find(name)) is not None}
        answers = ask(handles)
        mine = code_hash()
        for name, handle in handles.items():
            said = answers[name]
            if isinstance(said, RayActorError):
                continue
            if isinstance(said, dict):
                member = Member(
                    handle=handle, need=Need(**said["need"]), jobs=tuple(said.get("jobs", ()))
                )
                member.node = said["node"]
                if not member.jobs and said["code"] != mine:
                    ray.kill(handle)
                    continue
            else:  # no answer: whatever SQL says it does
                given = tuple(t.name for t in tickets if t.worker == name)
                member = Member(handle=handle, need=Need(), jobs=given)
            self.pool[name] = member

    def reserve(self, need: Need) -> str | None:
        idle = [n for n, m in self.pool.items() if not m.jobs]
        for name in idle:
            if self.pool[name].need == need:
                self.pool[name].jobs = RESERVED
                return name
        while not self._fits(need):
            if not idle:
                return None
            self._drop(idle.pop())
        name = f"worker-{uuid.uuid4().hex[:12]}"
        self.pool[name] = Member(handle=create(name, need), need=need, jobs=RESERVED)
        return name

    def _fits(self, need: Need) -> bool:
        """Beside all that live, idle ones included."""
        all_of_them = [m.need for m in self.pool.values()]
        return need.times_in(self.n_cpus, self.n_gpus, all_of_them) > 0

    def release(self, worker: str) -> None:
        if worker in self.pool:
            self.pool[worker].jobs = ()

    def start(self, worker: str, jobs: Sequence[Job]) -> None:
        member = self.pool[worker]
        member.ref = member.handle.run.remote([job.to_dict() for job in jobs])
        member.jobs, member.leaving = tuple(job.name for job in jobs), {}

    @property
    def can_stack(self) -> bool:
        return True

    def poll(self, tickets: Sequence[Ticket]) -> Mapping[str, Status]:
        of_worker: dict[str, list[Ticket]] = {}
        for ticket in tickets:
            of_worker.setdefault(ticket.worker, []).append(ticket)
        result: dict[str, Status] = {}
        to_ask = {}
        for worker, theirs in of_worker.items():
            member = self.pool.get(worker) or self._found_late(worker, theirs)
            if member is None:
                result |= dict.fromkeys((t.name for t in theirs), Status.LOST)
            elif member.ref is not None:
                result |= self._own_call(worker, member, theirs)
            else:
                to_ask[worker] = member.handle
        for worker, said in ask(to_ask).items():
            result |= self._answer(worker, of_worker[worker], said)
        return result

    def _found_late(self, worker: str, tickets: Sequence[Ticket]) -> Member | None:
        handle = find(worker)
        if handle is not None:
            names = tuple(t.name for t in tickets)
            self.pool[worker] = Member(handle=handle, need=Need(), jobs=names)
        return self.pool.get(worker)

    def _own_call(
        self, worker: str, member: Member, tickets: Sequence[Ticket]
    ) -> Mapping[str, Status]:
        """Of a call that this driver sent and waits for."""
        ready, _ = ray.wait([member.ref], timeout=0)
        if not ready:
            over = [t.name for t in tickets if files.is_over(t.folder, t.name)]
            # The last one is over with the call, so that somebody sees the worker idle again.
            over = over if len(over) < len(tickets) else []
            return {t.name: Status.ENDED if t.name in over else Status.RUNNING for t in tickets}
        status = self._how_it_went(worker, member)
        return {t.name: status for t in tickets}

    def _how_it_went(self, worker: str, member: Member) -> Status:
        try:
            ray.get(member.ref, timeout=ANSWER_S)
        except ActorUnavailableError:
            member.ref = None  # from now on by asking
            return Status.UNKNOWN
        except RayActorError as e:
            return self._death(worker, e)
        except GetTimeoutError:
            return Status.UNKNOWN
        except RayError:  # the actor's own code broke; it lives, and left no file
            pass
        member.jobs, member.ref = (), None
        return Status.ENDED

    def _answer(self, worker: str, tickets: Sequence[Ticket], said: Any) -> Mapping[str, Status]:
        """Of a worker that was asked, by an earlier driver's call."""
        names = [t.name for t in tickets]
        if isinstance(said, RayActorError):
            return dict.fromkeys(names, self._death(worker, said))
        if not isinstance(said, dict):
            return dict.fromkeys(names, Status.UNKNOWN)
        member = self.pool[worker]
        member.need, member.node = Need(**said["need"]), said["node"]
        member.jobs = tuple(said["jobs"])
        return {n: Status.RUNNING if n in member.jobs else Status.ENDED for n in names}

    def _death(self, worker: str, e: RayActorError) -> Status:
        """Its own, or that of its machine."""
        member = self.pool.pop(worker)
        alive = {n["NodeID"] for n in ray.nodes() if n["Alive"]}  # type: ignore[no-untyped-call]
        gone = e.preempted or (member.node and member.node not in alive)
        return Status.LOST if gone or "node" in str(e).lower() else Status.DEAD

    def stop(self, ticket: Ticket) -> None:
        member = self.pool.get(ticket.worker)
        if member is not None:
            member.handle.stop.remote(ticket.name)

    def kill(self, ticket: Ticket) -> bool:
        member = self.pool.get(ticket.worker)
        others = () if member is None or member.jobs == RESERVED else member.jobs
        if others and ticket.name not in others:
            return True  # it is at something else: it does no more for this one
        if member is not None and len(member.jobs) > 1 and self._leaves(ticket, member):
            return files.lock_holder(ticket.folder) is None
        self._drop(ticket.worker)
        until = time.monotonic() + KILL_WAIT_S
        while files.lock_holder(ticket.folder) is not None:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def _leaves(self, ticket: Ticket, member: Member) -> bool:
        """Ask a job to leave its stack, so that the others go on. False: it was asked long ago."""
        member.handle.stop.remote(ticket.name)
        since = member.leaving.setdefault(ticket.name, time.monotonic())
        return time.monotonic() - since < LEAVE_S

    def _drop(self, worker: str) -> None:
        member = self.pool.pop(worker, None)
        handle = member.handle if member else find(worker)
        if handle is not None:
            ray.kill(handle)

    def reap(self, live: Collection[str]) -> list[str]:
        orphans = {
            w: m.jobs
            for w, m in self.pool.items()
            if m.jobs and m.jobs != RESERVED and not set(m.jobs) & set(live)
        }
        for worker in orphans:
            self._drop(worker)
        return [job for jobs in orphans.values() for job in jobs]

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

    def n_free(self, need: Need) -> int:
        busy = [m.need for m in self.pool.values() if m.jobs]
        return need.times_in(self.n_cpus, self.n_gpus, busy)

    def close(self) -> None:
        self.pool.clear()
        ray.shutdown()
