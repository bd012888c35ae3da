"""Would training K small models of one shape as one batched model pay? Aggregate tok/s, same step.

    python benchmarks/stacking.py --sizes 11k,33k,150k --members 4,8,16 [--compile]

A probe, not a trainer: `torch.func.vmap` over stacked parameters, one flat buffer for AdamW, clip
and rate per member, no guard. `reports/LOG.md` says what it found and why runs are not stacked.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from fitting.costs.architecture import Architecture
from trainer.bench import training_step
from trainer.config import OptimizerSpec
from trainer.execution import Execution, compile_if
from trainer.models.lm import LM, build

SIZES = {"11k": (2, 16), "33k": (2, 32), "68k": (3, 40), "150k": (3, 64)}  # layers, width
CONTEXT, WINDOWS = 64, 8
SPEC = OptimizerSpec(lr=0.01)


class Losses(nn.Module):
    def __init__(self, model: LM) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.losses(x)


class Stack:
    """K models as rows of one buffer (K, P), their gradients as rows of another."""

    def __init__(self, arch: Architecture, K: int, *, compiled: bool) -> None:
        models = [build(arch, SPEC, seed=seed) for seed in range(K)]
        rows = [torch.cat([p.detach().flatten() for p in m.parameters()]) for m in models]
        self.weights = torch.stack(rows)
        self.grads, self.m, self.v = (torch.zeros_like(self.weights) for _ in range(3))
        self.lr, self.n = torch.full((K, 1), SPEC.lr), 0
        one = Losses(models[0]).requires_grad_(requires_grad=False)
        self.params, start = {}, 0
        for name, p in one.named_parameters():
            part = slice(start, start := start + p.numel())
            leaf = self.weights[:, part].view(K, *p.shape).requires_grad_()
            leaf.grad = self.grads[:, part].view(K, *p.shape)
            self.params[name] = leaf
        losses = vmap(lambda params, x: functional_call(one, params, (x,)))
        self.losses = compile_if(losses, wanted=compiled)

    def step(self, x_KBT: Tensor) -> None:
        self.losses(self.params, x_KBT)[0].sum().backward()
        with torch.no_grad():
            self._update()

    def _update(self) -> None:
        norm = torch.linalg.vector_norm(self.grads, dim=1, keepdim=True)
        self.grads.mul_((SPEC.clip_norm / (norm + 1e-6)).clamp_(max=1.0))
        self.n += 1
        self.m.lerp_(self.grads, 1 - SPEC.beta1)
        self.v.mul_(SPEC.beta2).addcmul_(self.grads, self.grads, value=1 - SPEC.beta2)
        root = (self.v / (1 - SPEC.beta2**self.n)).sqrt_().add_(SPEC.eps)
        self.weights.mul_(1 - self.lr * SPEC.weight_decay)
        self.weights.addcdiv_(self.m * (self.lr / (1 - SPEC.beta1**self.n)), root, value=-1.0)
        self.grads.zero_()


def tok_s(step: Callable[[], object], n_tokens: int, seconds: float) -> float:
    """By processor time, so that other work on the machine counts less; median step."""
    for _ in range(4):
        step()
    times: list[float] = []
    while sum(times) < seconds:
        started = time.thread_time()
        step()
        times.append(time.thread_time() - started)
    return n_tokens / statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="11k,33k,150k", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--members", default="4,8,16")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    alone = Execution(device="cpu", precision="fp32", compiled=args.compile)
    for size in args.sizes.split(","):
        n_layer, d_model = SIZES[size]
        arch = Architecture(
            n_layer=n_layer, d_model=d_model, n_head=2, vocab_size=256, context=CONTEXT
        )
        n_tokens = WINDOWS * CONTEXT
        one = tok_s(training_step(arch, WINDOWS, alone), n_tokens, args.seconds)
        print(f"{size:>5}  alone {one / 1e3:7.1f}k tok/s", flush=True)
        for K in map(int, args.members.split(",")):
            stack = Stack(arch, K, compiled=args.compile)
            x = torch.randint(arch.vocab_size, (K, WINDOWS, CONTEXT + 1))
            all_K = tok_s(lambda s=stack, x=x: s.step(x), K * n_tokens, args.seconds)
            print(f"{size:>5}  K {K:3} {all_K / 1e3:7.1f}k tok/s  {all_K / one:.2f} x", flush=True)


if __name__ == "__main__":
    main()
