"""Does training K runs of one shape together pay? Aggregate tok/s against one run, same step.

    python benchmarks/stacking.py --sizes 11k,33k,150k --members 4,8,16 [--compile] [--device cuda]

Both sides are the trainer's own step (`trainer.step`, `trainer.stack`), guard and clipping
included, on random tokens.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import cast

import torch

from fitting.costs.architecture import Architecture
from trainer.config import DataSpec, OptimizerSpec, RunSpec
from trainer.data.corpus import Corpus
from trainer.execution import Execution
from trainer.session import open_session
from trainer.stack import Stack
from trainer.step import step_of

# layers, width
SIZES = {"11k": (2, 16), "33k": (2, 32), "68k": (3, 40), "150k": (3, 64), "1M": (4, 144)}
CONTEXT = 64


def spec_of(size: str, n_windows: int, seed: int) -> RunSpec:
    n_layer, d_model = SIZES[size]
    arch = Architecture(n_layer=n_layer, d_model=d_model, n_head=2, vocab_size=256, context=CONTEXT)
    batch = n_windows * CONTEXT
    return RunSpec(
        model=arch, data=DataSpec(fingerprint="random"), optimizer=OptimizerSpec(lr=0.01),
        horizons=(10 * batch,), batch_tokens=batch, seed=seed,
    )  # fmt: skip


def together(size: str, n_windows: int, K: int, execution: Execution) -> Callable[[], object]:
    """One step of all K; of a run without a stack for K = 1."""
    sessions = [
        open_session(spec_of(size, n_windows, k), cast("Corpus", None), execution) for k in range(K)
    ]
    x = torch.randint(256, (n_windows, CONTEXT + 1), device=execution.device)
    if K == 1:
        step = step_of(sessions[0])
        return lambda: step(x)
    stack = Stack(sessions)
    steps = [stack.step_of(k) for k in range(K)]
    return lambda: [step(x) for step in steps]


def tok_s(step: Callable[[], object], n_tokens: int, seconds: float, device: str) -> float:
    """Median step; on a CPU by processor time, so that other work on the machine counts less."""
    clock = time.perf_counter if device.startswith("cuda") else time.thread_time
    for _ in range(4):
        step()
    times: list[float] = []
    while sum(times) < seconds:
        started = clock()
        step()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(clock() - started)
    return n_tokens / statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="11k,33k,150k", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--members", default="4,8,16")
    parser.add_argument("--windows", type=int, default=8, help="a batch, of 64 tokens each")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    how = Execution(device=args.device, precision=args.precision, compiled=args.compile)
    for size in args.sizes.split(","):
        n_tokens, one = args.windows * CONTEXT, 0.0
        for K in (1, *map(int, args.members.split(","))):
            step = together(size, args.windows, K, how)
            speed = tok_s(step, K * n_tokens, args.seconds, args.device)
            one = one or speed
            print(f"{size:>5}  K {K:3}  {speed / 1e3:7.1f}k tok/s  {speed / one:.2f} x", flush=True)


if __name__ == "__main__":
    main()
