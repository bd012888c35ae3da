"""Several runs of one shape as one batched model: rates and seeds of a model that is too small to
keep a device busy alone.

Each run keeps its own session, whose tensors become rows of common ones; so evaluation, branches
and checkpoints go on as if it were alone. Only the step is taken together: each run hands in its
windows, and when the last one has, all move on. Losses are those of the runs alone within float
noise; what happens to one, divergence included, does not reach the others.

    K runs of the stack   P parameters of one, in one row   B, T as elsewhere
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from trainer.execution import compile_if
from trainer.optim import Guard
from trainer.session import Session
from trainer.step import Step


class _Losses(nn.Module):
    """`functional_call` wants what it calls to be `forward`."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.model = session.model

    def forward(self, windows_BT1: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.losses(windows_BT1)


def _batched(losses: _Losses) -> Callable[..., Any]:
    """(leaves by name, windows_KBT1) to (objective_K, loss_K)."""

    def of_one(leaves: dict[str, Tensor], windows_BT1: Tensor) -> Any:
        return functional_call(losses, leaves, (windows_BT1,))

    return vmap(of_one)


def _attention(windows_KBT1: Tensor) -> AbstractContextManager[Any]:
    """Written out on a GPU too: under vmap the fused kernels keep nothing for the backward pass,
    since what they see does not ask for gradients."""
    return sdpa_kernel(SDPBackend.MATH) if windows_KBT1.is_cuda else nullcontext()


class Stack:
    """The common tensors and the common step of sessions that stand at the same step."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        first, K = sessions[0], len(sessions)
        self.sessions, self.execution = sessions, first.execution
        self.spec, device = first.spec.optimizer, first.execution.device
        self.columns, self.groups = _layout(first)
        P = self.groups[-1].stop
        self.weights, self.m, self.v = torch.zeros(3, K, P, device=device)
        # Steps of AdamW, skipped ones left out; a column for each tensor, though all are equal,
        # since a checkpoint holds one count for each.
        self.n_steps = torch.zeros(K, len(self.columns), device=device)
        self.guard = Guard(device, (K,))
        self.leaves = self._leaves(dict(first.model.named_parameters()))
        for k, session in enumerate(sessions):
            self._adopt(k, session)
        self.losses = compile_if(_batched(_Losses(first)), wanted=first.execution.compiled)
        self.windows: dict[int, Tensor] = {}
        self.here = set(range(K))
        self.out_2K = torch.zeros(2, K, device=device)

    def step_of(self, k: int) -> Step:
        """For `train`: what it returns is filled in when the last run of this round has called."""
        return partial(self._hand_in, k)

    def leave(self, k: int) -> None:
        """Go on without this run: it has ended or stopped."""
        self.here.discard(k)

    def _hand_in(self, k: int, windows_BT1: Tensor) -> tuple[Tensor, Tensor]:
        if k == min(self.here):
            self.out_2K = torch.empty_like(self.out_2K)
        self.windows[k] = windows_BT1
        out_2K = self.out_2K
        if k == max(self.here):
            self._advance(torch.stack([self.windows[i] for i in range(len(self.sessions))]))
        return out_2K[0, k], out_2K[1, k]

    # -- one step of all ------------------------------------------------------------------

    def _advance(self, windows_KBT1: Tensor) -> None:
        with self.execution.autocast(), _attention(windows_KBT1):
            objective_K, loss_K = self.losses(self.leaves, windows_KBT1)
        grads = torch.autograd.grad(objective_K.sum(), list(self.leaves.values()))
        with torch.no_grad():
            grad_KP, loss_K = torch.cat([g.flatten(1) for g in grads], 1), loss_K.detach()
            norm_K = torch.linalg.vector_norm(grad_KP, dim=1)
            go_K1 = 1 - self.guard.judge(loss_K, norm_K).unsqueeze(1)
            scale_K1 = (self.spec.clip_norm / (norm_K.unsqueeze(1) + 1e-6)).clamp(max=1.0)
            self._update(torch.where(go_K1 > 0, grad_KP * scale_K1, 0.0), go_K1)
            self.out_2K.copy_(torch.stack([loss_K, norm_K]))

    def _update(self, grad_KP: Tensor, go_K1: Tensor) -> None:
        """AdamW; a row whose `go` is 0 stays as it is."""
        s = self.spec
        self.n_steps += go_K1
        self.m.lerp_(grad_KP, (1 - s.beta1) * go_K1)
        self.v.mul_(1 - (1 - s.beta2) * go_K1).addcmul_(grad_KP, grad_KP, value=1 - s.beta2)
        n_K1 = self.n_steps[:, :1].double().clamp(min=1)
        unbias_m_K1, unbias_v_K1 = ((1 - b**n_K1).float() for b in (s.beta1, s.beta2))
        groups = [session.optimizer.param_groups for session in self.sessions]
        rates = torch.tensor([[g["lr"] for g in row] for row in groups])
        rates_KG = rates.to(go_K1.device, non_blocking=True)
        for i, (group, part) in enumerate(zip(groups[0], self.groups, strict=True)):
            lr_K1 = rates_KG[:, i : i + 1] * go_K1
            weights = self.weights[:, part]
            weights.mul_(1 - lr_K1 * group["weight_decay"])
            root = (self.v[:, part] / unbias_v_K1).sqrt_().add_(group["eps"])
            weights.addcdiv_(self.m[:, part] * (lr_K1 / unbias_m_K1), root, value=-1.0)

    # -- rows of common tensors -----------------------------------------------------------

    def _leaves(self, params: dict[str, nn.Parameter]) -> dict[str, Tensor]:
        """What gradients are taken of: (K, ...) views by parameter, in the order of the columns."""
        rows = {n: self.weights[:, c].view(-1, *params[n].shape) for n, c in self.columns.items()}
        return {f"model.{n}": t.detach().requires_grad_() for n, t in rows.items()}

    @torch.no_grad()
    def _adopt(self, k: int, session: Session) -> None:
        """Make the session's tensors views of row k, with the values that they have."""
        before = {n: t.clone() for n, t in session.live().items()}
        params = dict(session.model.named_parameters())
        for i, (name, here) in enumerate(self.columns.items()):
            p = params[name]
            p.data = self.weights[k, here].view(p.shape)
            moments = {"exp_avg": self.m, "exp_avg_sq": self.v}
            state = {slot: rows[k, here].view(p.shape) for slot, rows in moments.items()}
            session.optimizer.state[p] = state | {"step": self.n_steps[k, i]}
        for name, rows in self.guard.state().items():
            setattr(session.guard, name, rows[k])
        session.put(before)


def _layout(session: Session) -> tuple[dict[str, slice], list[slice]]:
    """Columns of each parameter, and of each of the optimiser's groups: those lie side by side."""
    names = {p: n for n, p in session.model.named_parameters()}
    columns, groups, at = {}, [], 0
    for group in session.optimizer.param_groups:
        begin = at
        for p in group["params"]:
            columns[names[p]] = slice(at, at := at + p.numel())
        groups.append(slice(begin, at))
    return columns, groups
