"""One run by several processes of one machine: `python -m trainer`, started as torchrun starts it.

The worker that starts them stands for them all: its folder's lock is theirs too, so the folder is
free only when the last of them is gone, and when the worker dies the kernel ends them.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitting.errors import InputError
from sweeper import files
from sweeper.executor import Job

POLL_S = 0.1
GRACE_S = 10.0  # once one has failed the others wait for it in vain
BAD_INPUT = 2  # the trainer's exit code


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One of them, with the files it writes."""

    child: subprocess.Popen[bytes]
    said: Path  # its result, as JSON
    log: Path

    def result(self) -> dict[str, Any] | None:
        return files.read_json(self.said)

    @property
    def failed(self) -> bool:
        return self.child.poll() not in (None, 0) and self.result() is None


def run_together(
    job: Job, folder: Path, lock: int, should_stop: Callable[[], bool]
) -> dict[str, Any]:
    """Train `job` by `job.need.n_processes` processes; its result as they tell it.

    Args:
        lock: file descriptor of the folder's lock, which the processes inherit.

    Raises:
        InputError: the trainer refuses the job.
        RuntimeError: a process died or broke; with its last words.
    """
    with _started(job, folder, lock) as processes:
        first_failed = _wait(processes, should_stop)
    told = [result for p in processes if (result := p.result())]
    if told:
        return told[0]
    raise _failure(first_failed or 0, processes)


@contextmanager
def _started(job: Job, folder: Path, lock: int) -> Iterator[list[Process]]:
    files.write_json(_order(job), job.spec)
    n, port = job.need.n_processes, _free_port()
    processes: list[Process] = []
    try:
        for rank in range(n):
            env = _environment(rank, n, port, n_threads=max(1, job.need.n_cpus // n))
            processes.append(_start(job, folder, rank, env, lock))
        yield processes
    finally:
        for p in processes:
            p.child.kill()
            p.child.wait()


def _start(job: Job, folder: Path, rank: int, env: dict[str, str], lock: int) -> Process:
    said = folder / f"said-{job.attempt}-{rank}.json"
    log = folder / f"log-{job.attempt}-{rank}.txt"
    with ExitStack() as stack:
        child = subprocess.Popen(
            [*_ended_with_us(), *_command(job)],
            stdin=subprocess.DEVNULL,
            stdout=stack.enter_context(said.open("wb")),
            stderr=stack.enter_context(log.open("wb")),
            env=os.environ | env,
            pass_fds=(lock,),
        )
    return Process(child=child, said=said, log=log)


def _order(job: Job) -> Path:
    return Path(job.folder) / f"spec-{job.attempt}.json"


def _command(job: Job) -> list[str]:
    return [
        *(sys.executable, "-m", "trainer", str(_order(job))),
        *("--data", job.data_dir, "--out", job.folder, "--device", job.device),
        *("--checkpoint-every", str(job.checkpoint_every_s)),
    ]


def _ended_with_us() -> list[str]:
    """So that the kernel kills them when this process dies, in whatever way (util-linux). Without
    it they train on, and the lock that they hold keeps others away until they are done."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _environment(rank: int, n: int, port: int, *, n_threads: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(n),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": str(n_threads),
    }


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _wait(processes: list[Process], should_stop: Callable[[], bool]) -> int | None:
    """Until all have ended. The rank of the first that failed, if one did."""
    asked, failed, until = False, None, 0.0
    while any(p.child.poll() is None for p in processes):
        if not asked and should_stop():
            asked = True
            for p in processes:
                with contextlib.suppress(ProcessLookupError):
                    p.child.send_signal(signal.SIGTERM)
        if failed is None:
            failed = next((rank for rank, p in enumerate(processes) if p.failed), None)
            until = time.monotonic() + GRACE_S
        elif time.monotonic() > until:
            break
        time.sleep(POLL_S)
    return failed


def _failure(rank: int, processes: list[Process]) -> Exception:
    code = processes[rank].child.returncode
    words = processes[rank].log.read_text(errors="replace").strip().splitlines()
    last = words[-1] if words else "it said nothing"
    if code == BAD_INPUT:
        return InputError(last.removeprefix("error: "), field="spec")
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return RuntimeError(f"process {rank + 1} of {len(processes)} {how}: {last}")
