"""The state of a run in progress: model, optimiser, guard, position; and the trunk kept aside.

`state` and `restore` are exact: tensors are copied, nothing is recomputed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from trainer.config import RunSpec
from trainer.data.corpus import Corpus
from trainer.execution import Execution, compile_blocks, compile_if, use_device
from trainer.memory import recompute_blocks
from trainer.models.lm import LM, build
from trainer.optim import Guard, make_optimizer
from trainer.schedule import Segment, segments
from trainer.world import World, put

Tensors = dict[str, Tensor]
_SLOTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(slots=True)
class Session:
    """Mutable on purpose; `trainer.train` is the only code that moves it on."""

    spec: RunSpec
    corpus: Corpus
    execution: Execution
    model: LM
    optimizer: torch.optim.AdamW
    guard: Guard
    losses: Callable[[Tensor], tuple[Tensor, Tensor]]
    world: World = field(default_factory=World)
    segment: int = 0  # index into segments(spec)
    step: int = 0  # next step to train
    trunk: Tensors | None = None  # at the branch point, while a branch is trained

    @property
    def here(self) -> Segment | None:
        """None: the run is complete."""
        chain = segments(self.spec)
        return chain[self.segment] if self.segment < len(chain) else None

    def live(self) -> Tensors:
        """References to every tensor that training changes, by name."""
        out = {f"model.{n}": p.data for n, p in self.model.named_parameters()}
        for n, p in self.model.named_parameters():
            state = self.optimizer.state.get(p) or _fresh_state(p)
            self.optimizer.state[p] = state
            out.update({f"{slot}.{n}": state[slot] for slot in _SLOTS})
        return out | {f"guard.{n}": t for n, t in self.guard.state().items()}

    def state(self) -> Tensors:
        """References to everything, the trunk kept aside included; sharded as it is."""
        out = {f"live.{n}": t for n, t in self.live().items()}
        return out | {f"trunk.{n}": t for n, t in (self.trunk or {}).items()}

    def restore(self, tensors: Tensors, *, segment: int, step: int) -> None:
        parts: dict[str, Tensors] = {"live": {}, "trunk": {}}
        for name, t in tensors.items():
            where, _, rest = name.partition(".")
            parts[where][rest] = t
        self.put(parts["live"])
        self.trunk = parts["trunk"] or None
        self.segment, self.step = segment, step

    def leave_trunk(self) -> None:
        self.trunk = {n: t.detach().clone() for n, t in self.live().items()}

    def return_to_trunk(self) -> None:
        """As it was left; only the count of skipped steps goes on."""
        self.put({n: t for n, t in (self.trunk or {}).items() if n != "guard.n_skipped"})
        self.trunk = None

    @torch.no_grad()
    def put(self, tensors: Tensors) -> None:
        """Into the tensors that are there, by the names of `live`."""
        live = self.live()
        for name, t in tensors.items():
            put(live[name], t)


def open_session(
    spec: RunSpec, corpus: Corpus, execution: Execution, world: World | None = None
) -> Session:
    """At step 0, with seeded initial values. The data's order has the same seed, used apart."""
    use_device(execution.device)
    model = build(
        spec.model,
        spec.optimizer,
        seed=spec.seed,
        device=execution.device,
        documents=spec.data.documents,
    )
    world = world or World()
    alone = world.size == 1
    if execution.compiled and not alone:
        compile_blocks(model)
    if execution.recompute:
        recompute_blocks(model)
    world.shard(model)
    return Session(
        spec=spec,
        corpus=corpus,
        execution=execution,
        model=model,
        optimizer=make_optimizer(model, spec.optimizer),
        guard=Guard(execution.device),
        losses=compile_if(model.losses, wanted=execution.compiled and alone),
        world=world,
    )


def _fresh_state(p: Tensor) -> dict[str, Any]:
    """What AdamW would make at its first step; made early so that step 0 can be saved too."""
    zeros = torch.zeros_like(p, memory_format=torch.preserve_format)
    step = torch.zeros((), dtype=torch.float32, device=p.device)
    return {"step": step, "exp_avg": zeros, "exp_avg_sq": zeros.clone()}
