"""What several families are made of: rotary positions, causal attention, the MLP.

Shape letters, as suffixes of tensor names in this package:
    B batch   T position   D d_model   H query heads   G key-value heads   K head width   F d_ff
    V vocabulary
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fitting.costs.architecture import Architecture
from trainer.data.manifest import END_OF_DOCUMENT
from trainer.models.half import half_attention


class Rotary(nn.Module):
    """Rotary position embedding; pairs are (i, i + K/2). Su et al. 2021, arXiv:2104.09864.

    The base is twice the context, not a fixed 10,000: at 128 tokens most pairs of a narrow head
    would otherwise hardly turn. Measured at 33k parameters and .26M tokens: 2.28 nats/byte, against
    2.40 with 10,000.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, d_head: int, context: int) -> None:
        super().__init__()
        freq = (2.0 * context) ** (-torch.arange(0, d_head, 2) / d_head)  # (K/2,)
        angle = torch.outer(torch.arange(context), freq)  # (T, K/2)
        self.register_buffer("cos", torch.cat([angle.cos(), angle.cos()], -1), persistent=False)
        self.register_buffer("sin", torch.cat([-angle.sin(), angle.sin()], -1), persistent=False)

    def forward(self, x_BHTK: Tensor) -> Tensor:
        T = x_BHTK.shape[-2]
        lo, hi = x_BHTK.chunk(2, dim=-1)
        swapped = torch.cat([hi, lo], dim=-1)
        cos, sin = self.cos[:T].to(x_BHTK.dtype), self.sin[:T].to(x_BHTK.dtype)
        return x_BHTK * cos + swapped * sin


class CausalAttention(nn.Module):
    """softmax(q k / scale) v over the past, or over the last `window` positions of it.

    On CPU written out: the fused kernel's backward takes three times as long there in bf16, and
    in bf16 with a backward pass of its own.
    """

    mask: Tensor

    def __init__(self, context: int, window: int = 0) -> None:
        super().__init__()
        self.window = window if 0 < window < context else 0
        i = torch.arange(context)
        seen = i[:, None] >= i[None, :]
        if self.window:
            seen &= i[:, None] - i[None, :] < self.window
        mask = torch.zeros(context, context).masked_fill_(~seen, -math.inf)
        self.register_buffer("mask", mask, persistent=False)

    def forward(
        self,
        q_BHTK: Tensor,
        k_BGTK: Tensor,
        v_BGTK: Tensor,
        scale: float,
        together_B1TT: Tensor | None = None,
    ) -> Tensor:
        T, grouped = q_BHTK.shape[-2], q_BHTK.shape[1] != k_BGTK.shape[1]
        if q_BHTK.is_cuda:
            mask = self.mask[:T, :T].to(q_BHTK.dtype) if self.window else None
            if together_B1TT is not None:
                mask = together_B1TT & (self.mask[:T, :T] == 0)
            return F.scaled_dot_product_attention(
                q_BHTK, k_BGTK, v_BGTK, attn_mask=mask, is_causal=mask is None,
                scale=scale, enable_gqa=grouped,
            )  # fmt: skip
        if grouped:
            n = q_BHTK.shape[1] // k_BGTK.shape[1]
            k_BGTK, v_BGTK = (x.repeat_interleave(n, dim=1) for x in (k_BGTK, v_BGTK))
        if q_BHTK.dtype is torch.bfloat16 and together_B1TT is None:
            q_PTK, k_PTK, v_PTK = (x.flatten(0, 1) for x in (q_BHTK, k_BGTK, v_BGTK))
            y_PTK = half_attention(q_PTK, k_PTK, v_PTK, self.mask[:T, :T], scale)
            return y_PTK.view_as(q_BHTK)
        score_BHTT = (q_BHTK * scale) @ k_BGTK.transpose(-2, -1) + self.mask[:T, :T]
        if together_B1TT is not None:
            score_BHTT = score_BHTT.masked_fill(~together_B1TT, -math.inf)
        return score_BHTT.softmax(-1).to(v_BGTK.dtype) @ v_BGTK


def same_document(tokens_BT: Tensor) -> Tensor:
    """Which positions share a document, (B, 1, T, T).

    The token that ends a document counts to the next one and begins it: the first word of a text
    is predicted from it alone, so that nothing is predicted across the boundary.
    """
    document_BT = (tokens_BT == END_OF_DOCUMENT).cumsum(1)
    return (document_BT[:, :, None] == document_BT[:, None, :]).unsqueeze(1)


class Mlp(nn.Module):
    """Squared ReLU (Primer, arXiv:2109.08668), GELU, or SwiGLU (arXiv:2002.05202)."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.kind = arch.mlp
        self.up = nn.Linear(arch.d_model, (2 if arch.gated else 1) * arch.d_ff, bias=False)
        self.down = nn.Linear(arch.d_ff, arch.d_model, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.down(activate(self.up(x_BTD), self.kind))


def activate(h_BTF: Tensor, kind: str) -> Tensor:
    """Halves the width when gated: the first half gates the second."""
    if kind == "swiglu":
        gate_BTF, h_BTF = h_BTF.chunk(2, dim=-1)
        return F.silu(gate_BTF) * h_BTF
    return F.relu(h_BTF).square() if kind == "relu2" else F.gelu(h_BTF)


class RMSNorm(nn.Module):
    """x / rms(x) · gain. Written out: three kernels on CPU, one when compiled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), 1e-6)
