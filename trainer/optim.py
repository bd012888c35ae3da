"""AdamW over CompleteP's parameter groups, fused; and the guard that skips a wild step.

Everything stays on the device: the rate, the norm, the decision to skip. No `.item()` here.
"""

from typing import Any

import torch
from torch import Tensor

from trainer.config import OptimizerSpec
from trainer.models.lm import LM, kind_of
from trainer.transfer import transfer

GUARD_STEPS = 128
GUARD_SIGMA = 6.0


def make_optimizer(model: LM, spec: OptimizerSpec) -> torch.optim.AdamW:
    """One group per kind of parameter; `group["base_lr"]` is its rate before the schedule.

    Decoupled decay multiplies the weight by 1 - lr · wd, so the hidden decay · m_N at lr / m_N
    keeps the product, and with it the averaging horizon, the same at every width.
    """
    scale = transfer(model.arch, spec)
    params: dict[str, list[Tensor]] = {}
    for name, p in model.named_parameters():
        params.setdefault(kind_of(name, p), []).append(p)
    groups = []
    for kind, tensors in params.items():
        g = getattr(scale, kind)
        groups.append(
            {
                "params": tensors,
                "kind": kind,
                "lr": spec.lr * g.lr,
                "base_lr": spec.lr * g.lr,
                "eps": spec.eps * g.eps,
                "weight_decay": spec.weight_decay * g.weight_decay,
            }
        )
    return torch.optim.AdamW(groups, betas=(spec.beta1, spec.beta2), fused=True)


def set_rate(optimizer: torch.optim.AdamW, level: float) -> None:
    """`level` times every group's own rate; into the tensor where a recorded step reads it."""
    for group in optimizer.param_groups:
        lr = group["base_lr"] * level
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


class Guard:
    """Says to skip a step whose loss lies 6 sigma above the last 128, or is not a number.

    Numbers on the device; part of the state, because the decision depends on the past. One guard
    may watch several runs (`shape` (K,)), each by its own past.
    """

    def __init__(self, device: torch.device | str, shape: tuple[int, ...] = ()) -> None:
        self.recent = torch.full((*shape, GUARD_STEPS), torch.nan, device=device)
        self.cursor = torch.zeros(shape, dtype=torch.int64, device=device)
        self.n_skipped = torch.zeros(shape, dtype=torch.int64, device=device)

    def judge(self, loss: Tensor, norm: Tensor) -> Tensor:
        """1.0 to skip, 0.0 to go on. All of one shape.

        A skipped loss is remembered too, if it is a number: after a lasting change, such as another
        mixture of data, a few steps are skipped and not all that follow.
        """
        full = ~self.recent.isnan().any(-1)
        limit = self.recent.mean(-1) + GUARD_SIGMA * self.recent.std(-1)
        skip = (full & (loss > limit)) | ~norm.isfinite()
        number = loss.isfinite()
        index = (self.cursor % GUARD_STEPS).unsqueeze(-1)
        before = self.recent.gather(-1, index)  # indexing by a 0-D tensor would wait for it
        now = loss.detach().float().unsqueeze(-1)
        self.recent.scatter_(-1, index, torch.where(number.unsqueeze(-1), now, before))
        self.cursor += number.to(torch.int64)
        self.n_skipped += skip.to(torch.int64)
        return skip.to(torch.float32)

    def mean(self, n_steps: int) -> Tensor:
        """Of the last losses that were numbers, 128 at most [nats/token]; of one run's guard."""
        back = torch.arange(1, min(n_steps, GUARD_STEPS) + 1, device=self.recent.device)
        return self.recent.gather(0, (self.cursor - back) % GUARD_STEPS).nanmean()

    def state(self) -> dict[str, Any]:
        return {"recent": self.recent, "cursor": self.cursor, "n_skipped": self.n_skipped}
