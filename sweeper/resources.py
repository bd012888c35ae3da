"""How much of the machine a run gets."""

import shutil
from pathlib import Path

from store.models import Run
from sweeper.executor import Need

ALL_CPUS = 1_000_000  # as many as there are: what a final run asks for

MIN_FREE_BYTES = 64 * 2**20  # below this nothing is started, and nothing is blamed on a run


def has_room(folder: Path) -> bool:
    """Whether the disk of the runs' folders takes another checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(folder).free >= MIN_FREE_BYTES


def need_of(run: Run, slots: Need) -> Need:
    """One core or one whole GPU for a point of a law; what it asked for, as far as there is, for a
    final run. A GPU is never shared: runs are timed."""
    on_gpu = run.device == "cuda" or (run.device == "auto" and slots.n_gpus > 0)
    return Need(n_cpus=max(1, min(run.n_cpus, slots.n_cpus)), n_gpus=1 if on_gpu else 0)


def impossible(run: Run, slots: Need) -> str | None:
    """Why this run can never start here; None if it can."""
    if run.device == "cuda" and slots.n_gpus < 1:
        return "device is cuda and there is no GPU among the workers; submit it with device: auto"
    if slots.n_cpus < 1:
        return "there is no CPU among the workers"
    return None
