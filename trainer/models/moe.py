"""Mixture of experts: every token meets top_k of n_expert MLPs, and n_shared always.

Router: softmax over all experts, the top_k renormalised; no token is dropped. Load balancing by
the auxiliary loss of Fedus et al. 2021 (arXiv:2101.03961, eq. 4).
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from fitting.costs.architecture import Architecture
from trainer.models.layers import Mlp, RMSNorm
from trainer.models.transformer import Attention

BALANCE = 0.01  # weight of the auxiliary loss, as in the paper


class Experts(nn.Module):
    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.top_k, self.n_expert = arch.top_k, arch.n_expert
        self.router = nn.Linear(arch.d_model, arch.n_expert, bias=False)
        self.experts = nn.ModuleList(Mlp(arch) for _ in range(arch.n_expert))
        self.shared = nn.ModuleList(Mlp(arch) for _ in range(arch.n_shared))

    def forward(self, x_BTD: Tensor) -> tuple[Tensor, Tensor]:
        x_ND = x_BTD.flatten(0, 1)
        share_NE = self.router(x_ND).float().softmax(-1)
        top_NK, chosen_NK = share_NE.topk(self.top_k, dim=-1)
        weight_NK = (top_NK / top_NK.sum(-1, keepdim=True)).to(x_ND.dtype)
        y_ND = torch.zeros_like(x_ND)
        for e, expert in enumerate(self.experts):
            token, slot = (chosen_NK == e).nonzero(as_tuple=True)
            y = expert(x_ND[token]) * weight_NK[token, slot].unsqueeze(-1)
            y_ND = y_ND.index_add(0, token, y.to(y_ND.dtype))
        for mlp in self.shared:
            y_ND = y_ND + mlp(x_ND)
        return y_ND.view_as(x_BTD), self._balance(share_NE, chosen_NK)

    def _balance(self, share_NE: Tensor, chosen_NK: Tensor) -> Tensor:
        """1 when experts are used evenly, more otherwise. Of several processes, whose losses are
        averaged, each counts the use in all: so their mean is the whole batch's."""
        used_E = torch.zeros(self.n_expert, device=share_NE.device).index_add(
            0, chosen_NK.flatten(), torch.ones(chosen_NK.numel(), device=share_NE.device)
        )
        used_E = used_E / chosen_NK.numel()
        if self.training and dist.is_initialized():
            dist.all_reduce(used_E)
            used_E = used_E / dist.get_world_size()
        return self.n_expert * (used_E * share_NE.mean(0)).sum()


class Block(nn.Module):
    def __init__(self, arch: Architecture, residual: float) -> None:
        super().__init__()
        self.residual = residual
        self.norm_a, self.norm_m = RMSNorm(arch.d_model), RMSNorm(arch.d_model)
        self.attention, self.experts = Attention(arch), Experts(arch)

    def forward(self, x_BTD: Tensor, together_B1TT: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y_BTD = self.attention(self.norm_a(x_BTD), together_B1TT)
        x_BTD = torch.add(x_BTD, y_BTD, alpha=self.residual)
        y_BTD, balance = self.experts(self.norm_m(x_BTD))
        return torch.add(x_BTD, y_BTD, alpha=self.residual), balance


class Moe(nn.Module):
    """x_BTD of embedded tokens → normalised x_BTD, and the load-balancing loss."""

    def __init__(self, arch: Architecture, residual: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(arch, residual) for _ in range(arch.n_layer))
        self.norm = RMSNorm(arch.d_model)

    def forward(
        self, x_BTD: Tensor, together_B1TT: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        balance = x_BTD.new_zeros((), dtype=torch.float32)
        for block in self.blocks:
            x_BTD, b = block(x_BTD, together_B1TT)
            balance = balance + b
        return self.norm(x_BTD), BALANCE / len(self.blocks) * balance
