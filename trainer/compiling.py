"""Whether a run is compiled: when that is possible, and when it pays. No torch here, so that a
forecast may ask what the trainer will decide.
"""

import os
import shutil
from importlib.util import find_spec
from typing import Literal

from trainer.config import RunSpec

Compile = Literal["auto", "always", "never"]

# Experts meet other tokens every step, and the LSTM is one fused kernel already.
COMPILABLE = ("transformer", "gpt2")
COMPILE_SAVES = 0.4  # of eager time, at least
STACK_GAINS, STACK_COMPILE_SAVES = 1.5, 0.25  # of eight runs of 20k parameters, `trainer.bench`
COMPILE_S = 60.0  # the first step of a shape takes 24 s, 49 s when each core compiles one


def is_compiled(
    spec: RunSpec, device: str, wanted: Compile = "auto", *, n_stacked: int = 1
) -> bool:
    """What the trainer decides for a run that starts on this machine."""
    if spec.model.family not in COMPILABLE or wanted == "never" or not can_compile():
        return False
    return wanted == "always" or compile_pays(spec, device, n_stacked)


def can_compile() -> bool:
    """Inductor needs a C++ compiler on CPU, and hands it torch's and the cache's paths unquoted."""
    torch = find_spec("torch")
    if torch is None or torch.origin is None:
        return False
    paths = torch.origin + os.environ.get("TORCHINDUCTOR_CACHE_DIR", "")
    if any(c.isspace() for c in paths):
        return False
    return any(shutil.which(c) for c in (os.environ.get("CXX", "g++"), "clang++"))


def compile_pays(spec: RunSpec, device: str, n_stacked: int = 1) -> bool:
    """An estimate from the FLOPs, the same on every start: is the time saved worth the wait?"""
    flops = n_stacked * spec.n_tokens_processed * spec.model.train_flops_per_token()
    if device.startswith("cuda"):
        return flops > 1e15
    saves, gain = (STACK_COMPILE_SAVES, STACK_GAINS) if n_stacked > 1 else (COMPILE_SAVES, 1.0)
    return saves * flops / (gain * eager_flop_s(spec.model.n_params)) > COMPILE_S


def eager_flop_s(n_params: float) -> float:
    """Of one AVX-512 core [FLOP/s]; a small model's step is mostly calls. A law through what was
    measured from 18k to 280k parameters (reports/LOG.md), with a ceiling."""
    return min(7e10, 5.5e9 * (n_params / 18e3) ** (2 / 3))
