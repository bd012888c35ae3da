"""A step of the trainer on random tokens: what probes and benchmarks time, no corpus needed."""

from collections.abc import Callable
from functools import partial
from typing import cast

import torch

from fitting.costs.architecture import Architecture
from trainer.config import DataSpec, OptimizerSpec, RunSpec
from trainer.data.corpus import Corpus
from trainer.execution import Execution
from trainer.session import Session, open_session
from trainer.stack import Stack
from trainer.step import step_of


def training_step(
    arch: Architecture, n_windows: int, execution: Execution, *, n_members: int = 1
) -> Callable[[], object]:
    """The step of `trainer.train` on random tokens; of all members where they are several."""
    x = torch.randint(arch.vocab_size, (n_windows, arch.context + 1), device=execution.device)
    sessions = [_session(arch, n_windows, execution, seed) for seed in range(n_members)]
    if n_members == 1:
        return partial(step_of(sessions[0]), x)
    stack = Stack(sessions)
    steps = [stack.step_of(k) for k in range(n_members)]
    return lambda: [step(x) for step in steps]


def _session(arch: Architecture, n_windows: int, execution: Execution, seed: int) -> Session:
    batch_tokens = n_windows * arch.context
    spec = RunSpec(
        model=arch, data=DataSpec(fingerprint="random"), optimizer=OptimizerSpec(lr=1e-3),
        horizons=(10 * batch_tokens,), batch_tokens=batch_tokens, seed=seed,
    )  # fmt: skip
    return open_session(spec, cast("Corpus", None), execution)
