"""Causal attention in bfloat16 on a processor, with a backward pass written by hand.

What autograd makes of softmax reads the scores five times and leaves the gradient of k transposed.
Here the exponentials stay unnormalised in bfloat16, are divided by their sum where rows are short
(K instead of T numbers), and the softmax's backward needs the sum over K of dy · y alone, as in
FlashAttention (Dao et al. 2022, arXiv:2205.14135, sec. 3.1). Float32 does not come here.

    P flat batch and heads, B times H   T position   K head width
"""

from typing import Any

import torch
from torch import Tensor


def half_attention(
    q_PTK: Tensor, k_PTK: Tensor, v_PTK: Tensor, mask_TT: Tensor, scale: float
) -> Tensor:
    """softmax(q kᵀ · scale + mask) v; q, k, v in bfloat16, the mask in float32."""
    y_PTK: Tensor = _HalfAttention.apply(q_PTK, k_PTK, v_PTK, mask_TT, scale)[0]  # type: ignore[no-untyped-call]
    return y_PTK


class _HalfAttention(torch.autograd.Function):
    """Its outputs beyond the first are for the backward pass."""

    generate_vmap_rule = True  # for `trainer.stack`

    @staticmethod
    def forward(
        q_PTK: Tensor, k_PTK: Tensor, v_PTK: Tensor, mask_TT: Tensor, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        score_PTT = (q_PTK @ k_PTK.transpose(1, 2)).float() * scale + mask_TT
        e_PTT = (score_PTT - score_PTT.amax(-1, keepdim=True)).exp().to(q_PTK.dtype)
        sum_PT1 = e_PTT.sum(-1, keepdim=True, dtype=torch.float32)
        return ((e_PTT @ v_PTK) / sum_PT1).to(q_PTK.dtype), e_PTT, sum_PT1

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        (q_PTK, k_PTK, v_PTK, _, ctx.scale), (y_PTK, e_PTT, sum_PT1) = inputs, output
        ctx.mark_non_differentiable(e_PTT, sum_PT1)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(q_PTK, k_PTK, v_PTK, e_PTT, sum_PT1, y_PTK)

    @staticmethod
    def backward(ctx: Any, dy_PTK: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        """ds = p (dp - sum over K of dy y), p = e / sum; the division is in `share`."""
        q_PTK, k_PTK, v_PTK, e_PTT, sum_PT1, y_PTK = ctx.saved_tensors
        share_PTK = (dy_PTK / sum_PT1).to(q_PTK.dtype)
        dv_PTK = e_PTT.transpose(1, 2) @ share_PTK
        own_PT1 = (share_PTK.float() * y_PTK).sum(-1, keepdim=True)
        de_PTT = share_PTK @ v_PTK.transpose(1, 2)
        ds_PTT = (e_PTT * (de_PTT - own_PT1) * ctx.scale).to(q_PTK.dtype)
        return ds_PTT @ k_PTK, ds_PTT.transpose(1, 2) @ q_PTK, dv_PTK, None, None
