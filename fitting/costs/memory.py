"""Does a training run fit into the devices' memory? A feasibility check, no parallelism search.

    16 bytes per parameter: 2 weights + 2 gradients + 4 master + 4 + 4 moments (18 with fp32 gradients)
    N' = N / (TP PP); ZeRO-0 16 N', -1 (4 + 12/dp) N', -2 (2 + 14/dp) N', -3 16 N'/dp + live layers
    activations 34 s b h L with flash attention; 2 s b h L + one layer when recomputed; / t with TP
    logits 6 b s V; runtime 3 GiB; 10 % fragmentation
Source: Rajbhandari et al., arXiv:1910.02054; Korthikanti et al., arXiv:2205.05198.
"""

from dataclasses import dataclass
from typing import Any

from fitting.costs.architecture import Architecture
from fitting.costs.figures import positive
from fitting.costs.rows import Device
from fitting.errors import InputError

GIB = 2.0**30
RUNTIME_BYTES = 3 * GIB
FRAGMENTATION = 1.10
LOGIT_BYTES = 6
LIVE_LAYERS = 2  # gathered at once by FSDP: the one at work and the one prefetched
TENSOR_PARALLEL = (1, 2, 4, 8)  # within a node
MOST_DEVICES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How a run is spread. `zero` is 0 to 3; 3 is FSDP."""

    zero: int = 3
    tp: int = 1
    pp: int = 1
    dp: int = 1
    sequences: int = 1  # b, per device and micro-batch
    recompute: bool = True
    fp32_gradients: bool = False

    def __post_init__(self) -> None:
        if self.zero not in (0, 1, 2, 3):
            raise InputError(f"zero must be 0, 1, 2 or 3; got {self.zero}", field="zero")
        for name in ("tp", "pp", "dp", "sequences"):
            positive(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    bytes_per_device: float
    available_bytes: float
    fits: bool
    fewest_devices_fsdp: int | None  # None: activations and live layers alone do not fit
    smallest_tp: int | None  # with FSDP over the rest of n_devices
    parts: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        return {
            "bytes_per_device": self.bytes_per_device,
            "available_bytes": self.available_bytes,
            "fits": self.fits,
            "fewest_devices_fsdp": self.fewest_devices_fsdp,
            "smallest_tp": self.smallest_tp,
            "parts": self.parts,
        }


def memory(
    arch: Architecture, device: Device, n_devices: int, layout: Layout | None = None
) -> Memory:
    """Bytes per device of training `arch` on `n_devices`, by default with FSDP over all of them.

    Raises:
        InputError: the device's memory is unknown.
    """
    if device.memory_gb is None:
        raise InputError(
            f"the memory of {device.id} is unknown: add it in an overlay", field="device"
        )
    layout = layout or Layout(dp=n_devices)
    parts = needed(arch, layout)
    used, room = sum(parts.values()), device.memory_gb * GIB  # vendors' GB are binary
    return Memory(
        bytes_per_device=used,
        available_bytes=room,
        fits=used <= room,
        fewest_devices_fsdp=_fewest_devices(arch, room),
        smallest_tp=_smallest_tp(arch, room, n_devices),
        parts=parts,
    )


def needed(arch: Architecture, layout: Layout) -> dict[str, float]:
    """Bytes per device by what they hold, fragmentation included."""
    b, s, t = layout.sequences, arch.context, layout.tp
    raw = {
        "state": state_bytes(arch.n_params_total / (t * layout.pp), layout),
        "live_layers": _live(arch, layout),
        "activations": _activations(arch, layout),
        "logits": LOGIT_BYTES * b * s * arch.vocab_size / t,
        "runtime": RUNTIME_BYTES / FRAGMENTATION,
    }
    return {name: value * FRAGMENTATION for name, value in raw.items()}


def state_bytes(n_local: float, layout: Layout) -> float:
    """Weights, gradients, master copy and moments of `n_local` = N/(TP PP) parameters.

    At ZeRO-3 everything is sharded once: 16 N'/dp, never 16 N'/dp² .
    """
    grad = 4 if layout.fp32_gradients else 2
    dp = layout.dp
    per_param = {
        0: 2 + grad + 12,
        1: 2 + grad + 12 / dp,
        2: 2 + (grad + 12) / dp,
        3: (2 + grad + 12) / dp,
    }
    return per_param[layout.zero] * n_local


def _live(arch: Architecture, layout: Layout) -> float:
    """Layers that ZeRO-3 gathers in full: weights and gradients in bf16."""
    if layout.zero < 3 or layout.dp == 1:
        return 0.0
    return 4 * min(LIVE_LAYERS, arch.n_layer) * arch.n_block / layout.tp


def _activations(arch: Architecture, layout: Layout) -> float:
    one = layout.sequences * arch.context * arch.d_model / layout.tp
    n_layer = -(-arch.n_layer // layout.pp)
    return one * (2 * n_layer + 34) if layout.recompute else one * 34 * n_layer


def _fewest_devices(arch: Architecture, room: float) -> int | None:
    """The least n with FSDP alone; bytes fall with n towards the unsharded part."""
    floor = sum(needed(arch, Layout(dp=MOST_DEVICES)).values())
    if floor > room:
        return None
    low, high = 1, MOST_DEVICES
    while low < high:
        middle = (low + high) // 2
        if sum(needed(arch, Layout(dp=middle)).values()) <= room:
            high = middle
        else:
            low = middle + 1
    return low


def _smallest_tp(arch: Architecture, room: float, n_devices: int) -> int | None:
    for tp in TENSOR_PARALLEL:
        if n_devices % tp == 0 and arch.n_head % tp == 0:
            parts = needed(arch, Layout(tp=tp, dp=n_devices // tp))
            if sum(parts.values()) <= room:
                return tp
    return None
