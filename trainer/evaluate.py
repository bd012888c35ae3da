"""Loss on fixed held-out windows: nats/token, bits/byte, per domain, with its standard error."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.data.corpus import Corpus
from trainer.execution import Execution
from trainer.models.lm import LM

EVAL_WINDOWS = 64  # at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    loss: float  # nats/token, mean over windows
    loss_se: float  # of that mean, over windows; common to all runs that share the windows
    bits_per_byte: float
    by_domain: dict[str, float]  # nats/token
    n_tokens: int


@torch.no_grad()
def evaluate(model: LM, corpus: Corpus, execution: Execution, *, n_tokens: int) -> Evaluation:
    """Mean cross-entropy over the corpus's fixed windows, about n_tokens of them."""
    parts = {
        domain: torch.cat(list(_window_losses(model, torch.from_numpy(windows), execution)))
        for domain, windows in corpus.held_out(n_tokens)
    }
    loss_R = torch.cat(list(parts.values())).double()  # one value per window
    n_windows = len(loss_R)
    loss = loss_R.mean().item()
    n_bytes = sum(
        len(part) * corpus.manifest.bytes_per_token("val", d) for d, part in parts.items()
    )
    return Evaluation(
        loss=loss,
        loss_se=loss_R.std().item() / math.sqrt(n_windows) if n_windows > 1 else 0.0,
        bits_per_byte=loss / math.log(2) * n_windows / n_bytes,
        by_domain={d: part.double().mean().item() for d, part in parts.items()},
        n_tokens=n_windows * corpus.context,
    )


def _window_losses(model: LM, windows: Tensor, execution: Execution) -> Iterator[Tensor]:
    for chunk in torch.split(windows, EVAL_WINDOWS):
        with execution.autocast():
            yield model.window_losses(chunk.to(execution.device)).cpu()
