"""A checkpoint's tensors by `torch.distributed.checkpoint`: each process writes its own parts.

No process ever holds the whole, and any number of processes reads what another number wrote.
Only runs on several processes, and whoever resumes one, import this file.
"""

import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

Tensors = dict[str, Tensor]


def write(folder: Path, tensors: Tensors, rank: int) -> list[Path]:
    """Write to `folder`, flushed to disk; returns the files of this process. Collective."""
    save(dict(tensors), checkpoint_id=folder)
    mine = sorted(folder.glob(f"__{rank}_*"))
    return [*mine, folder / ".metadata"] if rank == 0 else mine


def read(folder: Path, live: Tensors) -> Tensors:
    """What `write` wrote. The tensors named "live.…" are read into those of `live`, in place; the
    trunk kept aside gets tensors of its own, sharded as the live ones are. Collective."""
    out: Tensors = {}
    for name in FileSystemReader(folder).read_metadata().state_dict_metadata:
        where, _, rest = name.partition(".")
        out[name] = live[rest] if where == "live" else torch.empty_like(live[rest])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # alone on purpose
        load(out, checkpoint_id=folder, no_dist=not dist.is_initialized())
    return out
