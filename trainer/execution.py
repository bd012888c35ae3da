"""How a run is executed, as opposed to what it is: device, precision, compiled or not.

Decided once per run and kept with its checkpoints, so that a resumed run is the same run.
"""

import contextlib
import functools
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from fitting.errors import InputError
from trainer.compiling import COMPILABLE, Compile, can_compile, is_compiled
from trainer.config import RunSpec
from trainer.models.lm import LM


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    device: str  # "cpu", "cuda", "cuda:1"
    precision: Literal["fp32", "bf16"]
    compiled: bool
    n_threads: int = 1  # on a CPU; decided by `trainer.threads`
    recompute: bool = False  # activations, block by block; decided by `trainer.memory`
    graph: bool = False  # a whole step as one CUDA graph
    n_parts: int = 1  # a batch is taken in so many, gradients accumulated; likewise
    n_stacked: int = 1  # runs trained together as one batched model, `trainer.stack`

    def autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.split(":")[0], torch.bfloat16)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_device(device: str = "auto") -> str:
    """Raises InputError naming what is there when `device` is not."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = device.partition(":")
    n = torch.cuda.device_count()
    if device == "cpu" or (kind == "cuda" and (index or "0").isdigit() and int(index or 0) < n):
        return device
    found = ["cpu", *(f"cuda:{i}" for i in range(n))]
    raise InputError(
        f"device must be 'auto' or one of {found}; got {device!r} (is the driver installed?)",
        field="device",
    )


def use_device(device: str) -> None:
    """What streams and graphs mean by the current device; and kernels that give the same bits
    again where there are such, so that a run that is resumed on a GPU is the same run."""
    if not device.startswith("cuda"):
        return
    if ":" in device:
        torch.cuda.set_device(device)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when a GPU is first used
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def use_shared_cache(folder: Path) -> None:
    """Compiled kernels of a shape serve every later process that names the same folder."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder.absolute()))


@functools.cache
def probed_precision(device: str) -> Literal["fp32", "bf16"]:
    """The faster of fp32 and bf16 for matrices of a small model; under a tenth of a second."""
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    seconds = {
        p: _matmul_seconds(t) for p, t in (("fp32", torch.float32), ("bf16", torch.bfloat16))
    }
    # bf16 pays for its casts: it must win clearly.
    return "bf16" if seconds["bf16"] < 0.5 * seconds["fp32"] else "fp32"


def _matmul_seconds(dtype: torch.dtype) -> float:
    a, b = torch.ones(2048, 128, dtype=dtype), torch.ones(128, 512, dtype=dtype)

    def once() -> float:
        start = time.perf_counter()
        a @ b
        return time.perf_counter() - start

    once()
    return min(once() for _ in range(10))


def compile_if(fn: Callable[..., Any], *, wanted: bool) -> Callable[..., Any]:
    """One static shape per run, so no guard ever fails twice.

    What earlier runs of this process compiled is forgotten: a model's function is the same code for
    all of them, and torch goes on eagerly, with no more than a warning, from the ninth on.
    """
    if not wanted:
        return fn
    torch.compiler.reset()
    return torch.compile(fn, dynamic=False)


def compile_blocks(model: LM) -> None:
    """Each block apart, one compilation for all of them: what gathers a sharded block's weights
    stays outside. Evaluations, whose batches have other shapes, run it as it is."""
    torch.compiler.reset()
    for block in model.blocks():
        block.forward = _in_training(torch.compile(block.forward, dynamic=False), block.forward)


def _in_training(compiled: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    def forward(*x: Any) -> Any:
        return (compiled if torch.is_grad_enabled() else plain)(*x)

    return forward


def choose_execution(
    spec: RunSpec,
    device: str,
    wanted: Compile,
    *,
    resumed: dict[str, Any] | None,
    n_stacked: int = 1,
) -> Execution:
    """Device, precision and whether to compile; a resumed run goes on as it began."""
    where = find_device(device)
    if resumed:
        before = resumed["execution"]
        compiled = before["compiled"] and can_compile()
        return Execution(
            device=where,
            precision=before["precision"],
            compiled=compiled,
            graph=before.get("graph", False),
            n_parts=before.get("n_parts", 1),
            n_stacked=n_stacked,
        )
    precision = spec.precision if spec.precision != "auto" else probed_precision(where)
    compiled = is_compiled(spec, where, wanted, n_stacked=n_stacked)
    return Execution(device=where, precision=precision, compiled=compiled, n_stacked=n_stacked)


def with_graph(
    spec: RunSpec, execution: Execution, *, wanted: bool, n_processes: int = 1
) -> Execution:
    """A whole step as one CUDA graph, if wanted, or if it was one and can be here. Raises
    InputError where it cannot be one."""
    alone = n_processes == 1 and execution.device.startswith("cuda")
    possible = alone and spec.model.family in COMPILABLE
    if wanted and not possible:
        raise InputError(
            f"graph needs one process on a CUDA device and a family of {COMPILABLE}; got "
            f"{n_processes} on {execution.device!r} and {spec.model.family!r} (leave it out)",
            field="graph",
        )
    return replace(execution, graph=wanted or (execution.graph and possible))
