"""The actor that trains on Ray, and how one is made, found and asked what it does."""

import shlex
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError

from sweeper.code import code_hash
from sweeper.executor import Job, Need, environment
from sweeper.stacked import run_stack
from sweeper.worker import run_attempt

ANSWER_S = 5.0  # a question not answered by then: UNKNOWN


class Worker:
    """The actor: trains one job at a time, or a stack of them, and answers questions meanwhile."""

    def __init__(self, need: dict[str, int]) -> None:
        self.need, self.code = need, code_hash()
        self.asked: dict[str, threading.Event] = {}  # by name of a job under way: to stop

    def run(self, jobs: list[dict[str, Any]]) -> None:
        todo = [Job.from_dict(job) for job in jobs]
        asked = self.asked = {job.name: threading.Event() for job in todo}
        try:
            if len(todo) == 1:
                (job,) = todo
                run_attempt(job, should_stop=asked[job.name].is_set, loaded_code=self.code)
            else:
                stops = {name: event.is_set for name, event in asked.items()}
                run_stack(todo, should_stop=stops, loaded_code=self.code, over=asked.pop)
        finally:
            self.asked = {}

    @ray.method(concurrency_group="control")
    def status(self) -> dict[str, Any]:
        node = ray.get_runtime_context().get_node_id()
        return {"jobs": list(self.asked), "need": self.need, "code": self.code, "node": node}

    @ray.method(concurrency_group="control")
    def stop(self, job: str) -> None:
        asked = self.asked.get(job)
        if asked is not None:
            asked.set()


def runtime_env(env_vars: dict[str, str], python: str = sys.executable) -> dict[str, Any]:
    """Ray 2.60 puts the interpreter into a shell line unquoted (its `exec_worker`), so that workers
    of an environment under a path with a space die before they start, for ever."""
    quoted = shlex.quote(python)
    return {"env_vars": env_vars} | ({} if quoted == python else {"py_executable": quoted})


def create(name: str, need: Need) -> Any:
    """The handle of a new worker, at once; it starts when the cluster has room for it."""
    actor = ray.remote(concurrency_groups={"control": 1})(Worker)  # type: ignore[call-overload]
    made = actor.options(
        name=name,
        lifetime="detached",
        num_cpus=need.n_cpus,
        num_gpus=need.n_gpus,
        max_restarts=0,  # SQL decides what is tried again
        runtime_env=runtime_env(environment(need.n_cpus)),
    )
    return made.remote(asdict(need))


def find(name: str) -> Any:
    """The handle of a living worker, or None."""
    try:
        return ray.get_actor(name)
    except ValueError:
        return None


def ask(handles: Mapping[str, Any]) -> dict[str, Any]:
    """What each says of itself; an exception or None where nothing came in time."""
    refs = {name: handle.status.remote() for name, handle in handles.items()}
    if refs:
        ray.wait(list(refs.values()), num_returns=len(refs), timeout=ANSWER_S)
    return {name: _got(ref) for name, ref in refs.items()}


def _got(ref: Any) -> Any:
    try:
        return ray.get(ref, timeout=0.01)
    except ActorUnavailableError:
        return None
    except RayActorError as e:
        return e
    except (GetTimeoutError, RayError):
        return None
