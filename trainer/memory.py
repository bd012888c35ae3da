"""What a step does where memory is short: options of execution, not of the run.

First activations are made again in the backward pass (Chen et al. 2016, arXiv:1604.06174): a block
keeps its input only and runs forward twice, which costs a quarter to a third more time and changes
no bit. Then the batch is taken in parts whose gradients add up: the same sums in another order
(and experts are balanced within a part).
"""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch.utils.checkpoint import checkpoint

from fitting.errors import InputError
from trainer.config import RunSpec
from trainer.execution import Execution
from trainer.models.lm import LM

Recompute = Literal["auto", "always", "never"]
MAX_SHARE = 0.5  # of the free memory, for activations that are kept
KEPT = 0.15  # of activations that are still kept where they are recomputed, at most: measured


def with_recompute(
    spec: RunSpec, execution: Execution, wanted: Recompute, *, free: float, n_processes: int = 1
) -> Execution:
    """Auto: where kept activations would take more than half of the memory that is `free` [bytes],
    of the process that has the least: all plan alike."""
    if wanted == "auto":
        needed = activation_bytes(spec, execution.device, n_processes=n_processes)
        return replace(execution, recompute=needed > MAX_SHARE * free)
    return replace(execution, recompute=wanted == "always")


def with_parts(
    spec: RunSpec,
    execution: Execution,
    wanted: int | None,
    *,
    free: float,
    n_processes: int = 1,
    at_least: int = 1,
) -> Execution:
    """None: as few as fit, and not fewer than `at_least`.

    Raises:
        InputError: the windows of a process do not divide into so many.
    """
    n_windows = windows_of(spec, n_processes)
    if wanted is None:
        needed = activation_bytes(spec, execution.device, n_processes=n_processes)
        room = MAX_SHARE * free
        fit = needed * KEPT / room if execution.recompute else 1.0
        wanted = next((n for n in divisors(n_windows) if n >= max(fit, at_least)), n_windows)
    if wanted < 1 or n_windows % wanted:
        raise InputError(
            f"parts must divide the {n_windows} windows that each process has of a batch; got "
            f"{wanted} (one of {divisors(n_windows)})",
            field="parts",
        )
    return replace(execution, n_parts=wanted)


def windows_of(spec: RunSpec, n_processes: int) -> int:
    """In a batch, of each process."""
    return spec.batch_tokens // spec.model.context // n_processes


def divisors(n: int) -> list[int]:
    """From 1 to n."""
    return [d for d in range(1, n + 1) if n % d == 0]


def recompute_blocks(model: LM) -> None:
    """Every block's forward is a checkpoint from now on; names and weights stay."""
    for block in model.blocks():
        block.forward = partial(
            checkpoint,
            block.forward,
            use_reentrant=False,
            preserve_rng_state=False,  # nothing in a block is random
        )


def activation_bytes(spec: RunSpec, device: str, *, n_processes: int = 1) -> float:
    """What a step keeps of all blocks [bytes], as if in float32; within a factor of two.

    Per token and block: 14 tensors of the model's width, 2 of the MLP's and, where attention is
    written out, 1.5 of heads times context.
    """
    arch = spec.model
    experts = arch.top_k + arch.n_shared if arch.family == "moe" else 1
    up = (2 if arch.gated else 1) * arch.d_ff * experts
    scores = 0 if device.startswith("cuda") else arch.n_head * arch.context
    per_token = 14 * arch.d_model + 2 * up + 1.5 * scores
    return 4.0 * per_token * arch.n_layer * spec.batch_tokens / n_processes


def free_bytes(device: str) -> float:
    """Memory of the device that nobody holds, within this process's limits [bytes]."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()  # what an earlier run of this worker held is free
        return float(torch.cuda.mem_get_info(device)[0])
    return min(_available(), _limit())


def _available() -> float:
    """Linux counts what caches would give back; elsewhere all memory there is."""
    meminfo = Path("/proc/meminfo")
    for line in meminfo.read_text().splitlines() if meminfo.is_file() else ():
        if line.startswith("MemAvailable:"):
            return 1024.0 * int(line.split()[1])
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _limit() -> float:
    """A container's."""
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return float("inf" if text == "max" else text)
