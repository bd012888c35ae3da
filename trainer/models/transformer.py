"""Decoder-only transformer: pre-norm RMSNorm, rotary positions, QK-norm, grouped queries.

Every residual branch is scaled by `residual` (CompleteP's 1/m_L).
"""

import torch
from torch import Tensor, nn

from fitting.costs.architecture import Architecture
from trainer.models.layers import CausalAttention, Mlp, RMSNorm, Rotary


class Attention(nn.Module):
    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.H, self.G, self.K = arch.n_head, arch.n_kv_head, arch.d_head
        self.qkv = nn.Linear(arch.d_model, (self.H + 2 * self.G) * self.K, bias=False)
        self.out = nn.Linear(self.H * self.K, arch.d_model, bias=False)
        self.norm_q = RMSNorm(self.K) if arch.qk_norm else nn.Identity()
        self.norm_k = RMSNorm(self.K) if arch.qk_norm else nn.Identity()
        self.rotary = Rotary(self.K, arch.context)
        self.mix = CausalAttention(arch.context, arch.window)
        # 1/d_head as muP asks, equal to the usual 1/sqrt(d_head) at a head width of 64.
        self.scale = 8 / self.K

    def forward(self, x_BTD: Tensor, together_B1TT: Tensor | None = None) -> Tensor:
        B, T, _ = x_BTD.shape
        H, G = self.H, self.G
        qkv = self.qkv(x_BTD).view(B, T, H + 2 * G, self.K).transpose(1, 2)
        q_BHTK, k_BGTK, v_BGTK = qkv.split([H, G, G], dim=1)
        q_BHTK = self.rotary(self.norm_q(q_BHTK))
        k_BGTK = self.rotary(self.norm_k(k_BGTK))
        y_BHTK = self.mix(q_BHTK, k_BGTK, v_BGTK, self.scale, together_B1TT)
        return self.out(y_BHTK.transpose(1, 2).reshape(B, T, H * self.K))


class Block(nn.Module):
    def __init__(self, arch: Architecture, residual: float) -> None:
        super().__init__()
        self.residual = residual
        self.norm_a, self.norm_m = RMSNorm(arch.d_model), RMSNorm(arch.d_model)
        self.attention = Attention(arch)
        self.mlp = Mlp(arch)

    def forward(self, x_BTD: Tensor, together_B1TT: Tensor | None = None) -> Tensor:
        y_BTD = self.attention(self.norm_a(x_BTD), together_B1TT)
        x_BTD = torch.add(x_BTD, y_BTD, alpha=self.residual)
        return torch.add(x_BTD, self.mlp(self.norm_m(x_BTD)), alpha=self.residual)


class Transformer(nn.Module):
    """x_BTD of embedded tokens → normalised x_BTD, and no auxiliary loss."""

    def __init__(self, arch: Architecture, residual: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(arch, residual) for _ in range(arch.n_layer))
        self.norm = RMSNorm(arch.d_model)

    def forward(
        self, x_BTD: Tensor, together_B1TT: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        for block in self.blocks:
            x_BTD = block(x_BTD, together_B1TT)
        return self.norm(x_BTD), None
