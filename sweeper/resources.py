"""How much of the machine a run gets."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from store.models import Run
from store.states import RunKind
from sweeper.executor import Need
from trainer.alike import most_together, shared

ALL_CPUS = 1_000_000  # as many as there are: what a final run asks for

MIN_FREE_BYTES = 64 * 2**20  # below this nothing is started, and nothing is blamed on a run


def has_room(folder: Path) -> bool:
    """Whether the disk of the runs' folders takes another checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(folder).free >= MIN_FREE_BYTES


def need_of(run: Run, slots: Need) -> Need:
    """One core or one whole GPU for a point of a law. A final run gets the cores it asked for, as
    far as there are, and on GPUs all of a machine's, a process for each, unless it asked for fewer.
    Workers never share a GPU: runs are timed. (A stack is one worker.)"""
    on_gpu = _on_gpu(run, slots)
    n_cpus = max(1, min(run.n_cpus, slots.n_cpus))
    auto = slots.n_gpus if on_gpu and run.kind is RunKind.FINAL else 1
    n_processes = run.n_processes or _dividing(n_windows(run.spec), auto)
    return Need(
        n_cpus=min(max(n_cpus, n_processes), slots.n_cpus),
        n_gpus=n_processes if on_gpu else 0,
        n_processes=n_processes,
    )


def stack_of(waiting: Sequence[Run], *, on_gpu: bool, n_workers: int) -> list[Run]:
    """The first run, and those to be trained with it as one batched model: alike, asked for
    together, never failed before; so many that no worker is left idle by it."""
    first = waiting[0]
    most = most_together(first.spec, n_params=first.n_params, on_gpu=on_gpu)
    most = min(most, -(-len(waiting) // max(1, n_workers)))
    if most < 2 or not _may_stack(first):
        return [first]
    alike = [run for run in waiting if _may_stack(run) and _kind_of(run) == _kind_of(first)]
    return alike[:most]


def _may_stack(run: Run) -> bool:
    return run.stack and run.n_failures == 0 and run.kind is RunKind.SWEEP


def _kind_of(run: Run) -> tuple[Any, ...]:
    return shared(run.spec), run.corpus, run.device, run.code_hash, run.n_cpus, run.n_processes


def n_windows(spec: Mapping[str, Any]) -> int:
    """In a batch: processes that train together share them equally."""
    return int(spec["batch_tokens"] // spec["model"]["context"])


def _dividing(windows: int, most: int) -> int:
    return next(n for n in range(max(1, most), 0, -1) if windows % n == 0)


def _on_gpu(run: Run, slots: Need) -> bool:
    return run.device == "cuda" or (run.device == "auto" and slots.n_gpus > 0)


def impossible(run: Run, slots: Need) -> str | None:
    """Why this run can never start here; None if it can."""
    if run.device == "cuda" and slots.n_gpus < 1:
        return "device is cuda and there is no GPU among the workers; submit it with device: auto"
    if slots.n_cpus < 1:
        return "there is no CPU among the workers"
    n, kind = (slots.n_gpus, "GPUs") if _on_gpu(run, slots) else (slots.n_cpus, "cores")
    if (run.n_processes or 1) > n:
        return (
            f"n_processes is {run.n_processes} and the largest machine has {n} {kind}; launch it "
            f"with n_processes {n} or fewer"
        )
    return None
