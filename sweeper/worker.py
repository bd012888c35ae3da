"""What runs in a worker: one attempt, fenced and locked, its end written as a file.

No database and no web here. `python -m sweeper.worker job.json` is the local process; a Ray actor
calls `run_attempt` itself.
"""

import json
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from fitting.errors import InputError
from sweeper import files
from sweeper.code import code_hash
from sweeper.executor import Job
from sweeper.together import run_together

Ended = dict[str, Any]


def run_attempt(job: Job, *, should_stop: Callable[[], bool], loaded_code: str) -> None:
    """Train, unless it is another attempt's turn. Never raises: how it ended is in done-<n>.json.

    `loaded_code` is the hash of the code this process has imported.
    """
    folder = Path(job.folder)
    with files.holding_lock(folder) as lock:
        if files.fence(folder) != job.attempt:
            return  # requeued while we were on the way
        ended = refusal(job, lock, loaded_code)
        write_ended(job, ended or _train(job, folder, lock or 0, should_stop))


def refusal(job: Job, lock: int | None, loaded_code: str) -> Ended | None:
    """Why it must not be trained here and now; None if it may."""
    if lock is None:
        return {"status": "error", "reason": "another process trains this run"}
    if loaded_code != job.code_hash:
        return {"status": "stale", "reason": "the worker runs other code than was asked for"}
    return None


def write_ended(job: Job, ended: Ended) -> None:
    file = files.done_file(Path(job.folder), job.attempt)
    files.write_json(file, {"attempt": job.attempt, **ended})


def _train(job: Job, folder: Path, lock: int, should_stop: Callable[[], bool]) -> Ended:
    try:
        if job.need.n_processes > 1:
            return run_together(job, folder, lock, should_stop)
        run_job, spec = _payload(job)
        result = run_job(
            folder,
            spec,
            Path(job.data_dir),
            device=job.device,
            should_stop=should_stop,
            checkpoint_every_s=job.checkpoint_every_s,
        )
        return plain(result)
    except Exception as e:  # noqa: BLE001  the dispatcher decides whether to try again
        return broken(e)


def broken(e: Exception) -> Ended:
    """How an attempt ended whose code raised. To be called where it was caught."""
    if isinstance(e, (InputError, ValueError)):  # the same again would fail the same way
        return {"status": "error", "permanent": True, "reason": _short(e)} | _trace()
    status = "oom" if isinstance(e, MemoryError) else "error"
    return {"status": status, "reason": _short(e)} | _trace()


def _payload(job: Job) -> tuple[Callable[..., Any], Any]:
    from trainer.config import RunSpec  # noqa: PLC0415  after the environment is set

    module, _, name = job.payload.partition(":")
    return getattr(import_module(module), name), RunSpec.from_dict(job.spec)


def plain(result: Any) -> Ended:
    """What the payload returned, as it is written down."""
    value: Ended = result if isinstance(result, dict) else result.to_dict()
    json.dumps(value, allow_nan=False)
    return value


def _short(e: BaseException) -> str:
    return f"{type(e).__name__}: {e}"[:500]


def _trace() -> Ended:
    return {"traceback": traceback.format_exc()[-4000:]}


def main() -> None:
    """Entry of the local process: SIGTERM means checkpoint and end."""
    stop = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, not for its workers
    loaded = code_hash()
    job = Job.from_dict(json.loads(Path(sys.argv[1]).read_text()))
    run_attempt(job, should_stop=stop.is_set, loaded_code=loaded)


if __name__ == "__main__":
    main()
