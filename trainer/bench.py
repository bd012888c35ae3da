"""`python -m trainer.bench`: tokens per second, step time, MFU and memory of some shapes.

Each configuration is measured in turn, several times round, and its best round is kept: other
work on the machine slows single rounds, never speeds them up.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import torch

from fitting.costs.architecture import Architecture
from fitting.errors import InputError
from trainer.config import DataSpec, OptimizerSpec, RunSpec
from trainer.data.corpus import Corpus
from trainer.execution import Execution, find_device
from trainer.session import open_session
from trainer.step import step_of

# (a) and (b) of the published comparison with nanoGPT's loop; the others are the demo's sizes.
SHAPES: dict[str, tuple[Architecture, int]] = {
    "a": (Architecture(n_layer=4, d_model=128, n_head=4, vocab_size=256, context=128), 16),
    "b": (Architecture(n_layer=6, d_model=256, n_head=8, vocab_size=4096, context=256), 16),
    "20k": (Architecture(n_layer=2, d_model=24, n_head=2, vocab_size=256, context=128), 8),
    "33k": (Architecture(n_layer=2, d_model=32, n_head=2, vocab_size=256, context=128), 8),
    "100k": (Architecture(n_layer=2, d_model=56, n_head=4, vocab_size=256, context=128), 16),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    shape: str
    n_params: int
    precision: str
    compiled: bool
    graph: bool
    n_threads: int
    tok_s: float
    step_ms: float
    flop_s: float  # exact count, attention included
    mfu: float | None  # of the peak given
    memory_mb: float
    first_step_s: float  # compilation included


def measure(
    name: str, execution: Execution, *, seconds: float, peak_flop_s: float | None = None
) -> Speed:
    """Best of the rounds of five steps that fit into `seconds`."""
    arch, n_windows = SHAPES[name]
    step = training_step(arch, n_windows, execution)
    started = time.perf_counter()
    step()
    first = time.perf_counter() - started
    best = min(_rounds(step, execution.device, seconds))
    tok_s = n_windows * arch.context / best
    flop_s = tok_s * arch.train_flops_per_token()
    return Speed(
        shape=name,
        n_params=arch.n_params,
        precision=execution.precision,
        compiled=execution.compiled,
        graph=execution.graph,
        n_threads=torch.get_num_threads(),
        tok_s=tok_s,
        step_ms=best * 1e3,
        flop_s=flop_s,
        mfu=flop_s / peak_flop_s if peak_flop_s else None,
        memory_mb=_memory_mb(execution.device),
        first_step_s=first,
    )


def training_step(arch: Architecture, n_windows: int, execution: Execution) -> Callable[[], object]:
    """The step of `trainer.train` on random tokens."""
    batch_tokens = n_windows * arch.context
    spec = RunSpec(
        model=arch, data=DataSpec(fingerprint="random"), optimizer=OptimizerSpec(lr=1e-3),
        horizons=(10 * batch_tokens,), batch_tokens=batch_tokens, seed=0,
    )  # fmt: skip
    step = step_of(open_session(spec, cast("Corpus", None), execution))
    x = torch.randint(arch.vocab_size, (n_windows, arch.context + 1), device=execution.device)
    return partial(step, x)


def _rounds(step: Callable[[], object], device: str, seconds: float) -> list[float]:
    rounds: list[float] = []
    until = time.perf_counter() + seconds
    while not rounds or time.perf_counter() < until:
        started = time.perf_counter()
        for _ in range(5):
            step()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        rounds.append((time.perf_counter() - started) / 5)
    return rounds


def _memory_mb(device: str) -> float:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        device = find_device(args.device)
    except InputError as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    rows: list[dict[str, Any]] = []
    for name in args.shapes.split(","):
        for precision in ("fp32", "bf16"):
            for compiled in (False, True) if args.compile else (False,):
                execution = Execution(
                    device=device,
                    precision=_literal(precision),
                    compiled=compiled,
                    graph=args.graph,
                )
                speed = measure(name, execution, seconds=args.seconds, peak_flop_s=args.peak_flop_s)
                rows.append(asdict(speed))
                sys.stdout.write(_line(speed) + "\n")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def _literal(precision: str) -> Literal["fp32", "bf16"]:
    return "fp32" if precision == "fp32" else "bf16"


def _line(s: Speed) -> str:
    mfu = f"  MFU {s.mfu:.1%}" if s.mfu is not None else ""
    return (
        f"{s.shape:>5}  {s.precision} {'compiled' if s.compiled else 'eager':8}  "
        f"{s.tok_s / 1e3:8.1f}k tok/s  {s.step_ms:8.2f} ms  {s.flop_s / 1e9:7.1f} GFLOP/s{mfu}  "
        f"{s.memory_mb:6.0f} MB  first step {s.first_step_s:.1f} s"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.bench", description=__doc__)
    parser.add_argument("--shapes", default=",".join(SHAPES), help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="measure compiled steps too")
    parser.add_argument("--graph", action="store_true", help="a whole step as one CUDA graph")
    parser.add_argument("--seconds", type=float, default=3.0, help="per configuration")
    parser.add_argument("--peak-flop-s", type=float, help="for MFU; see `fitting/costs`")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
