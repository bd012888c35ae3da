"""One run on several processes: FSDP2 under torchrun, gloo on CPUs and NCCL on GPUs.

    torchrun --nproc-per-node 2 -m trainer spec.yaml --data DIR --out DIR

A process takes its slice of every batch, so the batch does not depend on how many there are. Any
number of them reads a checkpoint that another number wrote (`trainer.checkpoint`), so neither does
a resumed run. Alone, everything here does nothing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from fitting.errors import InputError
from trainer.config import RunSpec
from trainer.models.lm import LM

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """This process among all. `size` 1: no communication at all."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """The only one that writes files."""
        return self.rank == 0

    def slice(self, windows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """This process's equal part of a batch's windows."""
        return windows[self.rank :: self.size] if self.size > 1 else windows

    def mean(self, value: Tensor) -> Tensor:
        """Over all processes; 0-D."""
        if self.size == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.size

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """What any process says: decisions from clocks and signals must be common, and a signal
        may come to one machine only."""
        if self.size == 1:
            return flags
        said = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(said, op=dist.ReduceOp.MAX)
        return tuple(bool(f) for f in said.tolist())

    def gather(self, value: _T) -> list[_T]:
        """Everybody's value, by rank: small, picklable objects."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.size > 1:
            dist.barrier()

    def shard(self, model: LM) -> None:
        """Parameters, gradients and moments over all processes, block by block."""
        if self.size == 1:
            return
        kind = next(
            model.parameters()
        ).device.type  # else a machine's GPUs are taken, if it has any
        mesh = init_device_mesh(kind, (self.size,))
        for block in model.blocks():
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        for method in ("losses", "window_losses"):
            register_fsdp_forward_method(model, method)

    def reshard(self, model: LM) -> None:
        """After an evaluation: without a backward pass the whole weights stay gathered."""
        for module in model.modules() if self.size > 1 else ():
            if isinstance(module, FSDPModule):
                module.reshard()


def whole(t: Tensor) -> Tensor:
    """The whole of a tensor that may be sharded. Collective."""
    return t.full_tensor() if isinstance(t, DTensor) else t


@torch.no_grad()
def put(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor, or a shard as it is, into one that may be sharded."""
    if isinstance(target, DTensor) and not isinstance(value, DTensor):
        value = distribute_tensor(value.to(target.device), target.device_mesh, target.placements)
    target.copy_(value)


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """Joins the processes that torchrun started, if it did."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    _take_device(device)
    # Flags and names travel between processors also where tensors travel between GPUs.
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo")
    try:
        yield World(rank=dist.get_rank(), size=size)
    finally:
        dist.destroy_process_group()


def _take_device(device: str) -> None:
    """One GPU for each process of this machine: "cuda" then means its own."""
    if device.startswith("cuda"):
        local, n = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if device != "cuda" or local >= n:
            raise InputError(
                f"device must be 'cuda' with one process for each of this machine's {n} GPUs; got "
                f"{device!r} for process {local} (start at most {n} processes here)",
                field="device",
            )
        torch.cuda.set_device(local)


def check_world(spec: RunSpec, world: World, *, resumed: str = "") -> None:
    """Raises InputError where a batch cannot be divided equally, or where the processes do not
    find the same checkpoint."""
    n_windows = spec.batch_tokens // spec.model.context
    if n_windows % world.size:
        raise InputError(
            f"batch_tokens must divide among {world.size} processes; {spec.batch_tokens} tokens are "
            f"{n_windows} windows (start a number of processes that divides them)",
            field="batch_tokens",
        )
    found = world.gather(resumed)
    if len(set(found)) > 1:
        raise InputError(
            f"the processes find different checkpoints, by rank: {found} (put the run's folder on a "
            f"disk that all of them share)",
            field="out",
        )
