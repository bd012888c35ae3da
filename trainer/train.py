"""The training loop, as a generator: whoever calls it logs, stops and saves.

Nothing in a step waits for the device: losses and norms are yielded as tensors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainer.evaluate import Evaluation, evaluate
from trainer.optim import set_rate
from trainer.schedule import Segment, rate
from trainer.session import Session
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


def train(session: Session) -> Iterator[Stepped | Measured]:
    """Train from where the session stands to the end of its last cooldown.

    Between two yields the session is consistent and may be saved (`session.state()`).
    """
    while (segment := session.here) is not None:
        if segment.kind == "branch" and session.trunk is None:
            session.leave_trunk()
        while session.step < segment.last:
            yield _step(session, segment)
        measured = _measure(session, segment) if segment.cools else None
        if segment.kind == "branch":
            session.return_to_trunk()
            session.step = segment.first
        session.segment += 1
        if measured:
            yield measured


def _step(session: Session, segment: Segment) -> Stepped:
    spec, step = session.spec, session.step
    level = rate(spec, segment, step)
    windows = session.corpus.batch(
        step,
        spec.batch_tokens // spec.model.context,
        seed=spec.seed,
        cooling_from=segment.first if segment.cools else None,
    )
    loss = _backward(session, session.world.slice(windows))
    norm = torch.nn.utils.clip_grad_norm_(
        session.model.parameters(), spec.optimizer.clip_norm, foreach=True
    )
    set_rate(session.optimizer, level)
    loss, norm = session.world.mean(loss), whole(norm)
    _update(session, session.guard.judge(loss, norm))
    session.optimizer.zero_grad()
    session.step += 1
    return Stepped(segment, session.step, loss, norm, level)


def _backward(session: Session, windows: npt.NDArray[Any]) -> Tensor:
    """Gradients of the mean over these windows, part by part; the mean loss, without gradient."""
    n, losses = session.execution.n_parts, []
    for part in np.split(windows, n):
        with session.execution.autocast():
            objective, loss = session.losses(_to_device(part, session.execution.device))
        (objective / n if n > 1 else objective).backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    return torch.stack(losses).mean() if n > 1 else losses[0]


def _update(session: Session, skip: Tensor) -> None:
    """AdamW's step, or none: decided on the device, except where the parameters are sharded."""
    if session.world.size == 1:
        session.optimizer.found_inf = skip  # type: ignore[attr-defined]
        session.optimizer.step()
    elif not skip.item():  # the fused step takes no plain flag beside sharded tensors
        session.optimizer.step()


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


def _to_device(windows: object, device: str) -> Tensor:
    tokens = torch.as_tensor(windows)
    return tokens if device == "cpu" else tokens.pin_memory().to(device, non_blocking=True)
