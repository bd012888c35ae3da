"""Training speed against a nanoGPT-equivalent loop, as ratios in one run.

    python benchmarks/train_speed.py --shapes a,b --seconds 10

The peer is nanoGPT's step in plain torch: LayerNorm with biases, learned positions, GELU, fused
scaled-dot-product attention, AdamW, bf16 autocast, compiled. Rounds of all loops alternate, so
that other work on the machine meets them alike. Published for nanoGPT itself: 124M parameters at
about 250 ms/iteration of .5M tokens on 8 A100 (its README).
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fitting.costs.architecture import Architecture
from trainer.bench import SHAPES, training_step
from trainer.execution import Execution


class PeerBlock(nn.Module):
    """As in nanoGPT's model.py."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        d = arch.d_model
        self.ln_1, self.ln_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.c_attn, self.c_proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        self.n_head = arch.n_head

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        q, k, v = self.c_attn(self.ln_1(x)).split(C, dim=2)
        q, k, v = (t.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))
        return x + self.down(F.gelu(self.up(self.ln_2(x))))


class Peer(nn.Module):
    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.wte = nn.Embedding(arch.vocab_size, arch.d_model)
        self.wpe = nn.Embedding(arch.context, arch.d_model)
        self.h = nn.ModuleList(PeerBlock(arch) for _ in range(arch.n_layer))
        self.ln_f = nn.LayerNorm(arch.d_model)
        self.head = nn.Linear(arch.d_model, arch.vocab_size, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, x: Tensor) -> Tensor:
        h = self.wte(x[:, :-1]) + self.wpe(torch.arange(x.shape[1] - 1, device=x.device))
        for block in self.h:
            h = block(h)
        return F.cross_entropy(self.head(self.ln_f(h)).flatten(0, 1), x[:, 1:].flatten())


def peer_step(arch: Architecture, n_windows: int, execution: Execution) -> Callable[[], None]:
    model = Peer(arch).to(execution.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    forward = torch.compile(model) if execution.compiled else model
    x = torch.randint(arch.vocab_size, (n_windows, arch.context + 1), device=execution.device)

    def step() -> None:
        with execution.autocast():
            loss = forward(x)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def compare(name: str, device: str, seconds: float) -> dict[str, float]:
    """tok/s of each loop: its best round of five steps."""
    arch, n_windows = SHAPES[name]
    bf16 = Execution(device=device, precision="bf16", compiled=True)
    fp32 = replace(bf16, precision="fp32")
    steps = {
        "nanoGPT fp32 eager": peer_step(arch, n_windows, replace(fp32, compiled=False)),
        "nanoGPT bf16 compiled": peer_step(arch, n_windows, bf16),
        "isoflop fp32 eager": training_step(arch, n_windows, replace(fp32, compiled=False)),
        "isoflop fp32 compiled": training_step(arch, n_windows, fp32),
        "isoflop bf16 compiled": training_step(arch, n_windows, bf16),
    }
    best = dict.fromkeys(steps, float("inf"))
    for step in steps.values():
        step()
    until = time.perf_counter() + seconds * len(steps)
    while time.perf_counter() < until:
        for label, step in steps.items():
            started = time.perf_counter()
            for _ in range(5):
                step()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            best[label] = min(best[label], (time.perf_counter() - started) / 5)
    return {label: n_windows * arch.context / s for label, s in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", default="a,b,33k")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    table = {}
    for name in args.shapes.split(","):
        table[name] = compare(name, args.device, args.seconds)
        peer = max(v for k, v in table[name].items() if k.startswith("nanoGPT"))
        for label, tok_s in table[name].items():
            print(
                f"{name:>4}  {label:22} {tok_s / 1e3:8.1f}k tok/s  {tok_s / peer:5.2f} x",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
