"""Training speed against plain `transformers` GPT-2, as a ratio measured in one run.

    python benchmarks/train_speed.py --shapes a,b --rounds 10

The peer is `GPT2LMHeadModel` with AdamW, bf16 autocast and torch.compile, started as its users
start it; ours is `trainer`'s own step with its environment. Two one-thread processes of each stand
ready and take turns, so other work on the machine meets them alike, and each ratio is of two
neighbouring rounds. Published for nanoGPT itself, whose step is the peer's: 124M parameters, about
250 ms per iteration of .5M tokens on 8 A100 40GB (its README, "torch 2.0, compiled").
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from sweeper.executor import environment
from trainer.bench import SHAPES
from trainer.execution import Execution
from trainer.probe import training_step

# label: (loop, precision, compiled). The first is what ratios refer to.
LOOPS = {
    "GPT-2 bf16 compiled": ("peer", "bf16", True),
    "GPT-2 fp32 compiled": ("peer", "fp32", True),
    "GPT-2 fp32 eager": ("peer", "fp32", False),
    "isoflop bf16 compiled": ("ours", "bf16", True),
    "isoflop fp32 compiled": ("ours", "fp32", True),
    "isoflop fp32 eager": ("ours", "fp32", False),
}
NANOGPT = "nanoGPT published: 124M, about 250 ms per .5M tokens on 8 A100 (its README)"


def peer_step(shape: str, execution: Execution) -> Callable[[], object]:
    arch, n_windows = SHAPES[shape]
    config = GPT2Config(
        vocab_size=arch.vocab_size, n_positions=arch.context, n_embd=arch.d_model,
        n_layer=arch.n_layer, n_head=arch.n_head, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, bos_token_id=0, eos_token_id=0, use_cache=False,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).to(execution.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    forward = torch.compile(model) if execution.compiled else model
    x = torch.randint(arch.vocab_size, (n_windows, arch.context), device=execution.device)

    def step() -> None:
        with execution.autocast():
            loss = forward(input_ids=x, labels=x).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def work(label: str, shape: str, device: str) -> None:
    """A process of its own: a line in is seconds to train for, a line out is tok/s."""
    loop, precision, compiled = LOOPS[label]
    execution = Execution(device=device, precision=precision, compiled=compiled)
    arch, n_windows = SHAPES[shape]
    if loop == "peer":
        step = peer_step(shape, execution)
    else:
        step = training_step(arch, n_windows, execution)
    for _ in range(3):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        print(n_windows * arch.context / seconds_per_step(step, device, float(line)), flush=True)


def seconds_per_step(step: Callable[[], object], device: str, seconds: float) -> float:
    n, started = 0, time.perf_counter()
    while n < 3 or time.perf_counter() - started < seconds:
        step()
        n += 1
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / n


class Team:
    """Processes that run one loop at the same time."""

    def __init__(self, label: str, shape: str, device: str, n: int) -> None:
        tuned = environment(n_threads=1) if LOOPS[label][0] == "ours" else {}
        command = [sys.executable, __file__, "--work", label, "--shapes", shape, "--device", device]
        self.members = []
        for _ in range(n):  # the first compiles, the others find what it compiled
            member = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"} | tuned,
            )  # fmt: skip
            assert member.stdout.readline() == "ready\n", f"{label} did not start"
            self.members.append(member)

    def round(self, seconds: float) -> float:
        """tok/s of all together."""
        for member in self.members:
            member.stdin.write(f"{seconds}\n")
            member.stdin.flush()
        return sum(float(member.stdout.readline()) for member in self.members)

    def end(self) -> None:
        for member in self.members:
            member.stdin.close()
            member.wait()


def compare(shape: str, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Median tok/s of each loop, and the median over rounds of its ratio to the peer."""
    labels = [label for label in LOOPS if not args.loops or label in args.loops.split(",")]
    teams = {label: Team(label, shape, args.device, args.processes) for label in labels}
    rounds = [
        {label: team.round(args.seconds) for label, team in teams.items()}
        for _ in range(args.rounds)
    ]
    for team in teams.values():
        team.end()
    return {
        label: {
            "tok_s": statistics.median(r[label] for r in rounds),
            "ratio": statistics.median(r[label] / r[labels[0]] for r in rounds),
        }
        for label in labels
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", default="a,b", help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=2, help="of one thread each, at once")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one loop in one round")
    parser.add_argument("--loops", default="", help=f"of {', '.join(LOOPS)}; empty: all")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work, args.shapes, args.device)
        return
    table = {}
    for shape in args.shapes.split(","):
        table[shape] = compare(shape, args)
        for label, row in table[shape].items():
            print(
                f"{shape:>4}  {label:22} {row['tok_s'] / 1e3:8.1f}k tok/s  {row['ratio']:5.2f} x",
                flush=True,
            )
    print(f"load average {os.getloadavg()[0]:.1f}. {NANOGPT}")
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
