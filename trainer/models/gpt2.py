"""GPT-2's shape, for the published tables: learned positions, LayerNorm, biases everywhere.

Radford et al. 2019. No QK-norm and attention by 1/sqrt(d_head), as published; initial values and
rates follow this package's rule, so that sizes stay comparable. Positions count from the window's
start, in masked documents too.
"""

import torch
from torch import Tensor, nn

from fitting.costs.architecture import Architecture
from trainer.models.layers import CausalAttention, activate


class Block(nn.Module):
    def __init__(self, arch: Architecture, residual: float) -> None:
        super().__init__()
        d, self.residual, self.kind = arch.d_model, residual, arch.mlp
        self.H, self.G, self.K = arch.n_head, arch.n_kv_head, arch.d_head
        self.norm_a, self.norm_m = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv = nn.Linear(d, (self.H + 2 * self.G) * self.K)
        self.out = nn.Linear(self.H * self.K, d)
        self.up, self.down = nn.Linear(d, arch.d_ff), nn.Linear(arch.d_ff, d)
        self.mix = CausalAttention(arch.context, arch.window)

    def forward(self, x_BTD: Tensor, together_B1TT: Tensor | None = None) -> Tensor:
        y_BTD = self._attention(self.norm_a(x_BTD), together_B1TT)
        x_BTD = torch.add(x_BTD, y_BTD, alpha=self.residual)
        h_BTF = activate(self.up(self.norm_m(x_BTD)), self.kind)
        return torch.add(x_BTD, self.down(h_BTF), alpha=self.residual)

    def _attention(self, x_BTD: Tensor, together_B1TT: Tensor | None) -> Tensor:
        B, T, _ = x_BTD.shape
        heads = [self.H, self.G, self.G]
        qkv = self.qkv(x_BTD).view(B, T, sum(heads), self.K).transpose(1, 2)
        q_BHTK, k_BGTK, v_BGTK = qkv.split(heads, dim=1)
        y_BHTK = self.mix(q_BHTK, k_BGTK, v_BGTK, self.K**-0.5, together_B1TT)
        return self.out(y_BHTK.transpose(1, 2).reshape(B, T, -1))


class Gpt2(nn.Module):
    """x_BTD of embedded tokens → normalised x_BTD, and no auxiliary loss."""

    def __init__(self, arch: Architecture, residual: float) -> None:
        super().__init__()
        self.position = nn.Embedding(arch.context, arch.d_model)
        self.blocks = nn.ModuleList(Block(arch, residual) for _ in range(arch.n_layer))
        self.norm = nn.LayerNorm(arch.d_model)

    def forward(
        self, x_BTD: Tensor, together_B1TT: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        x_BTD = x_BTD + self.position.weight[: x_BTD.shape[1]]
        for block in self.blocks:
            x_BTD = block(x_BTD, together_B1TT)
        return self.norm(x_BTD), None
