"""A trainer under test: trains nothing, but keeps an append-only side log of what it did, which is
the oracle of the fault tests. A run's seed says how it behaves.
"""

import json
import os
import time
from pathlib import Path

from trainer.config import RunSpec

SIDE_LOG = "side-log.txt"  # beside the runs' folders
N_STEPS, CHECKPOINT_EVERY = 20, 5
DIVERGES, BREAKS, OOM, CANNOT, SLOW, DIES = 100, 101, 102, 103, 104, 105


def say(folder: Path, word: str, step: int = 0) -> None:
    line = f"{word} {folder.name} {step} {os.getpid()}\n".encode()
    fd = os.open(folder.parent / SIDE_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, line)
    os.close(fd)


def side_log(runs: Path) -> list[tuple[str, int, int, int]]:
    """(word, run, step, pid) in order."""
    path = runs / SIDE_LOG
    lines = path.read_text().splitlines() if path.exists() else []
    return [(w, int(r), int(s), int(p)) for w, r, s, p in (line.split() for line in lines)]


def run_job(
    folder: Path, spec: RunSpec, data_dir: Path, *, device, should_stop, checkpoint_every_s
):
    if spec.seed == CANNOT:
        raise ValueError("this spec cannot be meant")
    checkpoint = folder / "stub-checkpoint"
    step = int(checkpoint.read_text()) if checkpoint.exists() else 0
    say(folder, "START", step)
    while step < N_STEPS:
        if should_stop():
            checkpoint.write_text(str(step))
            return {"status": "stopped", "reason": "asked to stop"}
        step += 1
        say(folder, "STEP", step)
        time.sleep(0.1 if spec.seed == SLOW else 0.02)
        _journal(folder, spec, step)
        if step % CHECKPOINT_EVERY == 0:
            checkpoint.write_text(str(step))
        if step == 8:
            ended = _misbehave(spec)
            if ended is not None:
                return ended
    say(folder, "DONE", step)
    return _finished(folder, spec)


def _journal(folder: Path, spec: RunSpec, step: int) -> None:
    line = {"step": step, "n_tokens": step * spec.n_tokens // N_STEPS, "loss": 5.0 - step / 10}
    with (folder / "progress.jsonl").open("a") as f:
        f.write(json.dumps(line) + "\n")


def _misbehave(spec: RunSpec) -> dict | None:
    if spec.seed == DIVERGES:
        return {"status": "diverged", "reason": "loss nan at step 8: not finite"}
    if spec.seed == BREAKS:
        raise RuntimeError("the disk broke")
    if spec.seed == OOM:
        return {"status": "oom", "reason": "out of memory on cpu"}
    if spec.seed == DIES:
        os._exit(9)
    return None


def _finished(folder: Path, spec: RunSpec) -> dict:
    points = [
        {
            "n_params": spec.model.n_params,
            "n_tokens": h,
            "loss": 1.5 + 100 * h**-0.3,
            "flops": 6.0 * spec.model.n_params * h,
            "decayed": True,
        }
        for h in spec.horizons
    ]
    result = {
        "status": "finished",
        "reason": "",
        "measurements": points,
        "train_seconds": 0.5,
        "device": "cpu",
        "spec_hash": spec.fingerprint(),
    }
    (folder / "result.json").write_text(json.dumps(result))
    return result
