"""A language model: embedding, the family's body, head; and its loss.

`build` is the only way to make one: seeded, with the initial values that `trainer.transfer`
expects. Adding a family is one file and one line in `BODIES`.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fitting.costs.architecture import Architecture
from trainer.config import Documents, OptimizerSpec
from trainer.models.gpt2 import Gpt2
from trainer.models.layers import same_document
from trainer.models.loss import chunked_losses, chunked_token_losses, n_chunks
from trainer.models.lstm import Lstm
from trainer.models.moe import Moe
from trainer.models.transformer import Transformer
from trainer.transfer import transfer

BRANCH_GAIN = 0.5  # initial outputs of residual branches, of 1/sqrt(fan-in)
HEAD_GAIN = 0.4  # of 1/sqrt(base_width)
TIED_STD = 0.05  # an embedding that is also the head

Body = Callable[[Architecture, float], nn.Module]
BODIES: dict[str, Body] = {"transformer": Transformer, "moe": Moe, "lstm": Lstm, "gpt2": Gpt2}


class LM(nn.Module):
    """`forward(tokens_BT)` returns logits_BTV; `losses` what is trained on and reported."""

    def __init__(
        self, arch: Architecture, optimizer: OptimizerSpec, *, documents: Documents = "packed"
    ) -> None:
        super().__init__()
        scale = transfer(arch, optimizer)
        self.arch, self.z_loss, self.logit_scale = arch, optimizer.z_loss, scale.logits
        self.masked = documents == "masked"
        self.base_width = optimizer.base_width
        self.embed = nn.Embedding(arch.vocab_size, arch.d_model)
        self.body = BODIES[arch.family](arch, scale.residual)
        self.head = nn.Linear(arch.d_model, arch.vocab_size, bias=False)
        if arch.tied:
            self.head.weight = self.embed.weight

    def blocks(self) -> Iterator[nn.Module]:
        """The body's repeated parts, in order; none in a family that has none."""
        for part in self.body.children():
            if isinstance(part, nn.ModuleList):
                yield from part

    def forward(self, tokens_BT: Tensor) -> Tensor:
        return self.head(self._features(tokens_BT)[0])

    def losses(self, windows_BT1: Tensor) -> tuple[Tensor, Tensor]:
        """(objective, next-token cross-entropy), means over B and T [nats/token], float32.

        The objective adds z-loss and the family's auxiliary loss; without them both are one.
        """
        x_BTD, aux = self._features(windows_BT1[:, :-1])
        x_ND, target_N = x_BTD.flatten(0, 1), windows_BT1[:, 1:].flatten()
        n = n_chunks(len(x_ND), self.arch.vocab_size, x_ND.device.type)
        if n > 1:
            head = self.head.weight
            objective, loss = chunked_losses(x_ND, head, target_N, z_loss=self.z_loss, n=n)
            return objective if aux is None else objective + aux, loss
        logits_NV = self.head(x_BTD).float().flatten(0, 1)
        loss = F.cross_entropy(logits_NV, target_N)
        objective = loss if aux is None else loss + aux
        if self.z_loss:
            objective = objective + self.z_loss * logits_NV.logsumexp(-1).square().mean()
        return objective, loss

    def window_losses(self, windows_BT1: Tensor) -> Tensor:
        """Mean cross-entropy of each window, (B,) [nats/token], float32."""
        x_BTD, target_BT = self._features(windows_BT1[:, :-1])[0], windows_BT1[:, 1:]
        x_ND = x_BTD.flatten(0, 1)
        n = n_chunks(len(x_ND), self.arch.vocab_size, x_ND.device.type)
        if n > 1:
            loss_N = chunked_token_losses(x_ND, self.head.weight, target_BT.flatten(), n=n)
            return loss_N.view_as(target_BT).mean(1)
        logits_BTV = self.head(x_BTD).float()
        loss_BT = F.cross_entropy(logits_BTV.transpose(1, 2), target_BT, reduction="none")
        return loss_BT.mean(1)

    def _features(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the head multiplies, and the family's auxiliary loss."""
        seen = (same_document(tokens_BT),) if self.masked else ()
        x_BTD, aux = self.body(self.embed(tokens_BT), *seen)
        return x_BTD * self.logit_scale, aux


def build(
    arch: Architecture,
    optimizer: OptimizerSpec,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    documents: Documents = "packed",
) -> LM:
    """A model with seeded initial values, the same on every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LM(arch, optimizer, documents=documents)
        _initialise(model)
    return model.to(device)


@torch.no_grad()
def _initialise(model: LM) -> None:
    """Hidden matrices gain/sqrt(fan-in), so that their variance falls as 1/m_N; embeddings 1.

    Outputs of branches and the head start small, not at zero: runs of a thousand steps then learn
    sooner and their loss depends less on the seed (33k parameters, .26M tokens: 2.18 against 2.28
    nats/byte, spread .001 against .02).
    """
    for name, p in model.named_parameters():
        if p.ndim >= 2:
            p.normal_(std=_gain(name) * p.shape[-1] ** -0.5)
    # CompleteP: the head's initial variance does not depend on width, the logits' factor does.
    model.head.weight.normal_(std=HEAD_GAIN * model.base_width**-0.5)
    model.embed.weight.normal_(std=TIED_STD if model.arch.tied else 1.0)
    if model.arch.family == "gpt2":
        model.get_parameter("body.position.weight").normal_(std=0.1)


def _gain(name: str) -> float:
    return BRANCH_GAIN if name.endswith(("out.weight", "down.weight")) else 1.0


def kind_of(name: str, p: Tensor) -> str:
    """Group of `trainer.transfer` that a named parameter belongs to."""
    if p.ndim < 2:
        return "vector"
    if name.startswith(("embed.", "body.position.")):
        return "embedding"
    return "head" if name.startswith("head.") else "hidden"
