"""`python -m trainer spec.yaml --data DIR --out DIR`: one run, without any service."""

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


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the result as JSON. Exit code 0 finished, 1 diverged or stopped, 2 bad input."""
    args = _parser().parse_args(argv)
    try:
        spec = read_spec(args.spec)
        result = run_job(
            args.out,
            spec,
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


def read_spec(path: Path) -> RunSpec:
    """A RunSpec from YAML or JSON. Raises InputError for a file that is not one."""
    try:
        return RunSpec.from_dict(yaml.safe_load(path.read_text()))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as e:
        raise InputError(f"{path}: {e}", field="spec") from e


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    parser.add_argument("spec", type=Path, help="a RunSpec in YAML or JSON")
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
