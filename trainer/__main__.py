"""`python -m trainer spec.yaml --data DIR --out DIR`: one run, without any service.

Several specs that differ in rate and seed only are trained together as one batched model, which
pays for models too small to keep a device busy; each gets its folder in DIR, named as its file.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from fitting.errors import InputError
from trainer.config import RunSpec
from trainer.job import run_job
from trainer.jobs import Order, run_jobs


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the result as JSON. Exit code 0 finished, 1 diverged or stopped, 2 bad input."""
    args = _parser().parse_args(argv)
    try:
        _check_out(args.out)
        if len(args.spec) > 1:
            return _all_of(args)
        result = run_job(
            args.out,
            read_spec(args.spec[0]),
            args.data,
            device=args.device,
            compile=args.compile,
            recompute=args.recompute,
            parts=args.parts,
            graph=args.graph,
            checkpoint_every_s=args.checkpoint_every,
        )
    except InputError as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    # Of several under torchrun the first speaks, and whoever has run out of memory.
    if os.environ.get("RANK", "0") == "0" or result.status == "oom":
        sys.stdout.write(json.dumps(result.to_dict(), indent=2) + "\n")
    return 0 if result.status == "finished" else 1


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"out must be a folder; {out} is a file", field="out")


def _all_of(args: argparse.Namespace) -> int:
    _check_several(args)
    orders = [Order(folder=args.out / path.stem, spec=read_spec(path)) for path in args.spec]
    results = run_jobs(
        orders,
        args.data,
        device=args.device,
        compile=args.compile,
        checkpoint_every_s=args.checkpoint_every,
    )
    sys.stdout.write(json.dumps([r.to_dict() for r in results], indent=2) + "\n")
    return 0 if all(r.status == "finished" for r in results) else 1


def _check_several(args: argparse.Namespace) -> None:
    for name in ("parts", "graph"):
        if getattr(args, name):
            raise InputError(
                f"--{name} is for one run; got {len(args.spec)} specs (leave it out, or start "
                "them one by one)",
                field=name,
            )
    n_processes = int(os.environ.get("WORLD_SIZE", "1"))
    if n_processes > 1:
        raise InputError(
            f"several specs are trained by one process; got {len(args.spec)} specs and WORLD_SIZE "
            f"{n_processes} (start without torchrun, or one spec at a time)",
            field="spec",
        )
    stems = [path.stem for path in args.spec]
    twice = [path for path in args.spec if stems.count(path.stem) > 1]
    if twice:
        raise InputError(
            f"specs must differ in their files' names, which name their folders; got "
            f"{' and '.join(map(str, twice))} (rename one)",
            field="spec",
        )


def read_spec(path: Path) -> RunSpec:
    """A RunSpec from YAML or JSON. Raises InputError for a file that is not one."""
    try:
        return RunSpec.from_dict(yaml.safe_load(path.read_text()))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as e:
        raise InputError(f"{path}: {e}", field="spec") from e


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    parser.add_argument("spec", type=Path, nargs="+", help="a RunSpec in YAML or JSON")
    parser.add_argument("--data", type=Path, required=True, help="a prepared corpus")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--compile", choices=("auto", "always", "never"), default="auto")
    parser.add_argument(
        "--recompute",
        choices=("auto", "always", "never"),
        default="auto",
        help="make activations again in the backward pass: less memory, more time, the same "
        "numbers; auto: where they would not fit",
    )
    parser.add_argument(
        "--parts",
        type=int,
        help="take each batch in so many and add up their gradients; default: as few as fit",
    )
    parser.add_argument(
        "--graph", action="store_true", help="launch a whole step as one CUDA graph: small models"
    )
    parser.add_argument(
        "--checkpoint-every", type=float, default=60.0, metavar="SECONDS", help="default 60"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
