"""`python -m trainer.bench`: tokens per second, step time, MFU and memory of shapes and packings.

    python -m trainer.bench --shapes a,b,33k,1M --members 1,8 --compile
    python -m trainer.bench --device cuda --shapes 124M,1B --compile --graph --peak-flop-s 989e12

Each configuration is measured in turn, several times round, and its best round is kept: other
work on the machine slows single rounds, never speeds them up.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from fitting.costs.architecture import Architecture
from fitting.costs.units import parse_count
from fitting.errors import InputError
from trainer.execution import Execution, find_device
from trainer.ladder import architecture_for
from trainer.probe import training_step

# (a) and (b) of the published comparison with nanoGPT's loop, with the windows of a batch.
SHAPES: dict[str, tuple[Architecture, int]] = {
    "a": (Architecture(n_layer=4, d_model=128, n_head=4, vocab_size=256, context=128), 16),
    "b": (Architecture(n_layer=6, d_model=256, n_head=8, vocab_size=4096, context=256), 16),
}
# (below this size): vocabulary, context, windows of a batch; bytes first, then GPT-2's tokens
_BY_SIZE = ((5e6, (256, 64, 8)), (float("inf"), (50_304, 1024, 16)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    shape: str
    n_params: int
    n_members: int  # runs trained together, `trainer.stack`
    batch_tokens: int  # of one of them
    precision: str
    compiled: bool
    graph: bool
    n_threads: int
    tok_s: float  # of all members
    step_ms: float
    flop_s: float  # exact count, attention included
    mfu: float | None  # of the peak given
    memory_mb: float
    first_step_s: float  # compilation included


def shape_of(name: str) -> tuple[Architecture, int]:
    """A shape of `SHAPES`, or the ladder's of a size such as `33k`; and the windows of a batch.

    Raises:
        InputError: neither, or no shape of the ladder is so small or so large.
    """
    if name in SHAPES:
        return SHAPES[name]
    n_params = parse_count(name, field="shapes")
    vocab_size, context, n_windows = next(rest for most, rest in _BY_SIZE if n_params < most)
    return architecture_for(n_params, vocab_size=vocab_size, context=context), n_windows


def measure(
    name: str,
    execution: Execution,
    *,
    seconds: float,
    n_members: int = 1,
    n_windows: int | None = None,
    peak_flop_s: float | None = None,
) -> Speed:
    """Best of the rounds of five steps that fit into `seconds`.

    Raises:
        InputError: no such shape.
    """
    arch, windows = shape_of(name)
    windows = n_windows or windows
    step = training_step(arch, windows, execution, n_members=n_members)
    if execution.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(execution.device)
    first = _seconds(step, 1, execution.device)
    best = min(_rounds(step, execution.device, seconds))
    tok_s = n_members * windows * arch.context / best
    flop_s = tok_s * arch.train_flops_per_token()
    return Speed(
        shape=name,
        n_params=arch.n_params,
        n_members=n_members,
        batch_tokens=windows * arch.context,
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


def _rounds(step: Callable[[], object], device: str, seconds: float) -> Iterator[float]:
    """Seconds of a step, a round of five at a time; at least one round."""
    until = time.perf_counter() + seconds
    yield _seconds(step, 5, device)
    while time.perf_counter() < until:
        yield _seconds(step, 5, device)


def _seconds(step: Callable[[], object], n: int, device: str) -> float:
    started = time.perf_counter()
    for _ in range(n):
        step()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return (time.perf_counter() - started) / n


def _memory_mb(device: str) -> float:
    """The most so far: of this configuration on a GPU, of the process on a CPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    rows: list[dict[str, Any]] = []
    try:
        for speed in _measured(args):
            rows.append(asdict(speed))
            sys.stdout.write(_line(speed) + "\n")
            sys.stdout.flush()
    except (InputError, OSError) as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def _measured(args: argparse.Namespace) -> Iterator[Speed]:
    device = find_device(args.device)
    torch.set_num_threads(args.threads or torch.get_num_threads())
    if args.json:
        args.json.touch()  # a file that cannot be written is told before minutes of measuring
    for name in args.shapes:
        shape_of(name)  # likewise
    compiled = (False, True) if args.compile else (False,)
    for name, precision, comp, n in product(args.shapes, args.precision, compiled, args.members):
        execution = Execution(
            device=device, precision=precision, compiled=comp, graph=_graph(args, device)
        )
        try:
            yield measure(
                name, execution, seconds=args.seconds, n_members=n, n_windows=args.windows,
                peak_flop_s=args.peak_flop_s,
            )  # fmt: skip
        except torch.OutOfMemoryError:
            sys.stdout.write(f"{name:>5}  {n:3} x  {precision}  out of memory\n")


def _graph(args: argparse.Namespace, device: str) -> bool:
    if args.graph and not (device.startswith("cuda") and args.members == [1]):
        raise InputError(
            "graph records the step of one run on a CUDA device; got members "
            f"{args.members} on {device!r} (leave it out)",
            field="graph",
        )
    return bool(args.graph)


def _line(s: Speed) -> str:
    mfu = f"  MFU {s.mfu:.1%}" if s.mfu is not None else ""
    return (
        f"{s.shape:>5}  {s.n_members:3} x  {s.precision} {'compiled' if s.compiled else 'eager':8}  "
        f"{s.tok_s / 1e3:8.1f}k tok/s  {s.step_ms:8.2f} ms  {s.flop_s / 1e9:7.1f} GFLOP/s{mfu}  "
        f"{s.memory_mb:6.0f} MB  first step {s.first_step_s:.1f} s"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.bench", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--shapes", type=_list(str), default=["20k", "100k", "a", "b"],
        help=f"of {', '.join(SHAPES)}, or sizes such as 124M")  # fmt: skip
    add("--members", type=_list(_count), default=[1], help="runs trained together, such as 1,8,32")
    add("--windows", type=_count, help="in a batch; else by shape")
    add("--precision", type=_list(_precision), default=["fp32", "bf16"], help="fp32,bf16")
    add("--device", default="auto")
    add("--threads", type=_count, help="on a CPU; else all")
    add("--compile", action="store_true", help="measure compiled steps too")
    add("--graph", action="store_true", help="a whole step as one CUDA graph")
    add("--seconds", type=float, default=3.0, help="per configuration")
    add("--peak-flop-s", type=float, help="for MFU; see `fitting/costs`")
    add("--json", type=Path, help="write the figures to this file")
    return parser


def _list(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    return lambda text: [kind(part) for part in text.split(",")]


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be whole numbers from 1 up; got {text!r}")
    return int(text)


def _precision(text: str) -> str:
    if text not in ("fp32", "bf16"):
        raise argparse.ArgumentTypeError(f"must be of fp32, bf16; got {text!r}")
    return text


if __name__ == "__main__":
    sys.exit(main())
