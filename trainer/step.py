"""One optimiser step on a batch that lies on the device, and the same as one CUDA graph.

Nothing in it waits for the device: what it returns are tensors, what it decides it decides there.
That is what a graph asks: forward, backward, clipping, guard and AdamW are recorded once, and
every later step is a single launch, which is most of the time of a small model on a large GPU.
"""

import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from trainer.session import Session
from trainer.world import whole

# (loss [nats/token], gradient's norm before clipping) of a batch, both 0-D
Step = Callable[[Tensor], tuple[Tensor, Tensor]]
WARM_UP = 3  # steps before recording: compilation, workspaces, the optimiser's state


def step_of(session: Session) -> Step:
    """Moves model, optimiser and guard on by one batch (B, T + 1) of this process's windows."""
    return _recorded(session) if session.execution.graph else partial(advance, session)


def advance(session: Session, windows_BT1: Tensor) -> tuple[Tensor, Tensor]:
    """Plain: launched operator by operator."""
    loss = _backward(session, windows_BT1)
    norm = torch.nn.utils.clip_grad_norm_(
        session.model.parameters(), session.spec.optimizer.clip_norm, foreach=True
    )
    loss, norm = session.world.mean(loss), whole(norm)
    _update(session, session.guard.judge(loss, norm))
    session.optimizer.zero_grad()
    return loss, norm


def _backward(session: Session, windows_BT1: Tensor) -> Tensor:
    """Gradients of the mean over these windows, part by part; the mean loss, without gradient."""
    n, losses = session.execution.n_parts, []
    for part in windows_BT1.chunk(n):
        with session.execution.autocast():
            objective, loss = session.losses(part)
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


def _recorded(session: Session) -> Step:
    """The addresses that are recorded stay: restoring and branching copy into them."""
    arch, n_windows = session.spec.model, session.spec.batch_tokens // session.spec.model.context
    static_BT1 = torch.zeros(
        n_windows, arch.context + 1, dtype=torch.int64, device=session.execution.device
    )
    _rates_on_device(session)
    work = partial(advance, session, static_BT1)
    before = {name: t.clone() for name, t in session.live().items()}
    _warm_up(work)
    session.put(before)
    replay = _record(work)

    def step(windows_BT1: Tensor) -> tuple[Tensor, Tensor]:
        static_BT1.copy_(windows_BT1, non_blocking=True)
        loss, norm = replay()
        return loss.clone(), norm.clone()

    return step


def _rates_on_device(session: Session) -> None:
    for group in session.optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], device=session.execution.device)
        group["capturable"] = session.execution.device.startswith("cuda")


def _warm_up(work: Callable[[], object]) -> None:
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*capturable=True")  # of steps not recorded
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(aside)


def _record(
    work: Callable[[], tuple[Tensor, Tensor]],
) -> Callable[[], tuple[Tensor, Tensor]]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = work()

    def replay() -> tuple[Tensor, Tensor]:
        graph.replay()
        return out

    return replay
