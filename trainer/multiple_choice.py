"""Benchmarks by likelihood, with lm-eval, on a checkpoint that `trainer.export` wrote.

    pip install 'isoflop[eval]'
    python -m trainer.multiple_choice FOLDER --tasks arc_easy,piqa
    python -m trainer.multiple_choice FOLDER --tasks mine --task-dir DIR

Published tasks download their questions; those of `--task-dir` (lm-eval's YAML files) need not.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fitting.errors import InputError


def evaluate_tasks(
    folder: Path,
    tasks: Sequence[str],
    *,
    task_dir: Path | None = None,
    n_shots: int | None = None,
    limit: int | None = None,
    device: str = "cpu",
) -> dict[str, dict[str, float]]:
    """Metrics by task: "acc", "acc_stderr", …, and "n", the questions asked.

    Args:
        n_shots: examples before each question; None: as the task says.
        limit: questions of each task; None: all.

    Raises:
        InputError: the extra is not installed, no checkpoint lies in `folder`, or a task is
            unknown or cannot be read.
    """
    _check(folder, n_shots, limit)
    from lm_eval import simple_evaluate  # noqa: PLC0415  the extra `eval`
    from lm_eval.tasks import TaskManager  # noqa: PLC0415

    manager = TaskManager(include_path=str(task_dir) if task_dir else None)
    unknown = [t for t in tasks if t not in manager.all_tasks]
    if unknown or not tasks:
        raise InputError(
            f"tasks must be names that lm-eval knows; got {unknown or 'none'} "
            f"(list them with `lm-eval ls tasks`, or give --task-dir)",
            field="tasks",
        )
    try:
        found = simple_evaluate(
            model="hf",
            model_args={"pretrained": str(folder), "dtype": "float32"},
            tasks=list(tasks),
            num_fewshot=n_shots,
            limit=limit,
            device=device,
            task_manager=manager,
            log_samples=False,
        )
    except OSError as e:
        raise InputError(
            f"tasks {', '.join(tasks)} could not be read: {e} (published tasks download their "
            f"questions: run where the network allows, or give --task-dir)",
            field="tasks",
        ) from e
    return {t: _metrics(found["results"][t], found["n-samples"][t]) for t in tasks}


def _metrics(results: dict[str, Any], n: dict[str, int]) -> dict[str, float]:
    """Names without lm-eval's filter ("acc,none"); a value that is no number is left out."""
    numbers = {
        name.removesuffix(",none"): float(value)
        for name, value in results.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
    return {**numbers, "n": n["effective"]}


def _check(folder: Path, n_shots: int | None, limit: int | None) -> None:
    if find_spec("lm_eval") is None:
        raise InputError(
            "benchmarks need lm-eval, which is not installed (pip install 'isoflop[eval]')",
            field="tasks",
        )
    if not (folder / "config.json").is_file():
        raise InputError(
            f"folder must be an exported checkpoint; {folder} has no config.json "
            f"(make one with `python -m trainer.export`)",
            field="folder",
        )
    for name, value, least in (("shots", n_shots, 0), ("limit", limit, 1)):
        if value is not None and value < least:
            raise InputError(f"{name} must be at least {least}; got {value}", field=name)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints JSON. Exit code 0 done, 2 bad input."""
    args = _parser().parse_args(argv)
    try:
        metrics = evaluate_tasks(
            args.folder,
            [t for t in args.tasks.split(",") if t],
            task_dir=args.task_dir,
            n_shots=args.shots,
            limit=args.limit,
            device=args.device,
        )
    except InputError as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    sys.stdout.write(json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.multiple_choice",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="an exported checkpoint")
    parser.add_argument("--tasks", required=True, help="comma-separated names")
    parser.add_argument("--task-dir", type=Path, help="a folder with tasks of your own")
    parser.add_argument("--shots", type=int, help="examples before each question")
    parser.add_argument("--limit", type=int, help="questions of each task")
    parser.add_argument("--device", default="cpu")
    return parser


if __name__ == "__main__":
    sys.exit(main())
