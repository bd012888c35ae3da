"""The training loop, as a generator: whoever calls it logs, stops and saves.

Nothing in a step waits for the device: losses and norms are yielded as tensors.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.evaluate import Evaluation, evaluate
from trainer.optim import set_rate
from trainer.schedule import Segment, rate
from trainer.session import Session
from trainer.step import Step, step_of
from trainer.world import whole


@dataclass(frozen=True, slots=True)
class Stepped:
    """One optimiser step. `loss` [nats/token] and `norm` (before clipping) are 0-D tensors."""

    segment: Segment
    step: int  # done
    loss: Tensor
    norm: Tensor
    level: float  # of the learning rate


@dataclass(frozen=True, slots=True)
class Measured:
    """A model has cooled down and was evaluated; the session is on the trunk again."""

    horizon: int  # tokens
    evaluation: Evaluation
    weights: dict[str, Tensor]  # of the cooled-down model, on the CPU; the first process's only


def train(session: Session, step: Step | None = None) -> Iterator[Stepped | Measured]:
    """Train from where the session stands to the end of its last cooldown.

    Between two yields the session is consistent and may be saved (`session.state()`).

    Args:
        step: that moves the session on; None: its own.
    """
    step = step or step_of(session)
    while (segment := session.here) is not None:
        if segment.kind == "branch" and session.trunk is None:
            session.leave_trunk()
        while session.step < segment.last:
            level = rate(session.spec, segment, session.step)
            set_rate(session.optimizer, level)
            loss, norm = step(_batch(session, segment))
            session.step += 1
            yield Stepped(segment, session.step, loss, norm, level)
        measured = _measure(session, segment) if segment.cools else None
        if segment.kind == "branch":
            session.return_to_trunk()
            session.step = segment.first
        session.segment += 1
        if measured:
            yield measured


def _batch(session: Session, segment: Segment) -> Tensor:
    """This process's windows of the next step, (B, T + 1), on the device."""
    spec = session.spec
    windows = session.corpus.batch(
        session.step,
        spec.batch_tokens // spec.model.context,
        seed=spec.seed,
        cooling_from=segment.first if segment.cools else None,
    )
    tokens = torch.as_tensor(session.world.slice(windows))
    device = session.execution.device
    return tokens if device == "cpu" else tokens.pin_memory().to(device, non_blocking=True)


def _measure(session: Session, segment: Segment) -> Measured:
    session.model.eval()
    evaluation = evaluate(
        session.model, session.corpus, session.execution, n_tokens=session.spec.eval_tokens
    )
    session.model.train()
    session.world.reshard(session.model)
    return Measured(segment.horizon, evaluation, _weights(session))


def _weights(session: Session) -> dict[str, Tensor]:
    """Gathered tensor by tensor; only the first process keeps them."""
    out = {}
    for name, p in session.model.named_parameters():
        t = whole(p.detach())
        if session.world.first:
            out[name] = t.cpu().clone()
    return out
