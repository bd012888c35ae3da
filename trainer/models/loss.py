"""Cross-entropy of a large vocabulary without all logits at once.

N rows times V logits are the largest tensor of a small model: 2 M tokens a step at V = 50,257 are
400 GB in float32. Beyond `MAX_LOGITS` the head and the loss are computed chunk by chunk, and the
gradients with them, so nothing is kept or recomputed (as in Liger kernels, arXiv:2410.10989).

    N rows (B times T)   R rows of a chunk   D d_model   V vocabulary
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.alike import MOST_LOGITS

# Logits at once: 256 MiB in float32 on a processor, 1 GiB on a GPU, which wants large products.
MAX_LOGITS = {"cpu": MOST_LOGITS, "cuda": 1 << 28}
Chunk = tuple[Tensor, Tensor, Tensor, Tensor]


def n_chunks(n_rows: int, vocab_size: int, device: str) -> int:
    """A power of two, so that chunks are equal. 1: all logits at once, as bytes always are below
    262,144 tokens a step."""
    wanted = -(-n_rows * vocab_size // MAX_LOGITS[device])
    return 1 << (wanted - 1).bit_length()


# Not traced as a whole, because the compiler would keep every chunk's logits for a backward pass;
# a compiled caller compiles `_chunk`, which has none.
@torch.compiler.disable(recursive=False)  # type: ignore[no-untyped-call, untyped-decorator]
def chunked_losses(
    x_ND: Tensor, head_VD: Tensor, target_N: Tensor, *, z_loss: float, n: int
) -> tuple[Tensor, Tensor]:
    """(objective, cross-entropy) in n chunks, means over N [nats/token], float32; z-loss is in the
    first, and only the first has a gradient."""
    objective, loss = _Chunked.apply(x_ND, head_VD, target_N, z_loss, n)  # type: ignore[no-untyped-call]
    return objective, loss


def chunked_token_losses(x_ND: Tensor, head_VD: Tensor, target_N: Tensor, *, n: int) -> Tensor:
    """Cross-entropy of each row, (N,) float32; for evaluation, without gradients."""
    parts = zip(x_ND.chunk(n), target_N.chunk(n), strict=True)
    return torch.cat(
        [F.cross_entropy(F.linear(x, head_VD).float(), t, reduction="none") for x, t in parts]
    )


class _Chunked(torch.autograd.Function):
    """Gradients are made in `forward`, of a mean that `backward` only scales."""

    @staticmethod
    @torch.compiler.disable(recursive=False)  # type: ignore[no-untyped-call, untyped-decorator]
    def forward(  # noqa: PLR0917
        ctx: Any, x_ND: Tensor, head_VD: Tensor, target_N: Tensor, z_loss: float, n: int
    ) -> tuple[Tensor, Tensor]:
        kind = head_VD.device.type
        mixed = torch.is_autocast_enabled(kind)
        head = head_VD.to(torch.get_autocast_dtype(kind)) if mixed else head_VD.detach()
        dx, dhead = [], torch.zeros_like(head_VD, dtype=torch.float32)
        loss, z = torch.zeros(2, dtype=torch.float32, device=x_ND.device)
        for x, target in zip(x_ND.to(head.dtype).chunk(n), target_N.chunk(n), strict=True):
            part, z_part, dx_part, dhead_part = _chunk(x, head, target, z_loss, target_N.numel())
            loss, z = loss + part, z + z_part
            dx.append(dx_part)
            dhead += dhead_part
        ctx.save_for_backward(torch.cat(dx).to(x_ND.dtype), dhead.to(head_VD.dtype))
        ctx.mark_non_differentiable(loss)
        return loss + z_loss * z, loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        dx, dhead = ctx.saved_tensors
        return dx * grads[0].to(dx.dtype), dhead * grads[0], None, None, None


def _chunk(x_RD: Tensor, head_VD: Tensor, target_R: Tensor, z_loss: float, n_rows: int) -> Chunk:
    """Parts of the means of -log p and of log² Z, and the gradients of loss + z_loss · z."""
    logits_RV = (x_RD @ head_VD.T).float()
    lse_R = logits_RV.logsumexp(-1)
    at = target_R.unsqueeze(1)
    loss = (lse_R - logits_RV.gather(1, at).squeeze(1)).sum() / n_rows
    # d loss / d logits = p - [target];  d log² Z / d logits = 2 log Z p
    d_RV = logits_RV.sub_(lse_R.unsqueeze(1)).exp_()
    d_RV.mul_(((1 + 2 * z_loss * lse_R) / n_rows).unsqueeze(1))
    d_RV.scatter_add_(1, at, torch.full_like(at, -1 / n_rows, dtype=d_RV.dtype))
    d_RV = d_RV.to(head_VD.dtype)
    return loss, lse_R.square().sum() / n_rows, d_RV @ head_VD, d_RV.T @ x_RD
