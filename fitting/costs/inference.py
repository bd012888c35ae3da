"""What serving a model costs over its life: prefill and decode apart, for they are bound apart.

    prefill  2 N D_in / (peak x MFU)                compute-bound
    decode   2 N bytes per step / bandwidth, a step makes `batch` tokens; compute-bound if slower

Keys and values are left out: long contexts cost more than this says.
"""

from dataclasses import dataclass
from typing import Any

from fitting.costs.energy import carbon, energy, energy_it
from fitting.costs.figures import S_PER_H, Figure, constant, leaf, positive, product, total
from fitting.costs.rates import Rates
from fitting.errors import InputError

BYTES_PER_PARAM = 2.0  # bf16 weights


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifetime:
    """Figures by name: prefill_device_hours, decode_device_hours, device_hours, usd, tco2e."""

    figures: dict[str, Figure]

    def __getitem__(self, name: str) -> Figure:
        return self.figures[name]

    def to_dict(self) -> dict[str, Any]:
        return {name: f.to_dict() for name, f in self.figures.items()}


def lifetime(
    rates: Rates,
    *,
    n_params: float,
    prompt_tokens: float = 0.0,
    output_tokens: float = 0.0,
    batch: int | None = None,
) -> Lifetime:
    """Cost of reading `prompt_tokens` and writing `output_tokens` over the model's life.

    Args:
        n_params: active parameters.
        batch: sequences decoded together; 64 by default.

    Raises:
        InputError: a negative count, none at all, or a device without a known bandwidth.
    """
    N = leaf("n_params", positive("n_params", n_params), "params")
    parts = []
    if prompt_tokens:
        D = leaf("prompt_tokens", positive("prompt_tokens", prompt_tokens), "tokens")
        parts.append(_prefill(rates, N, D))
    if output_tokens:
        D = leaf("output_tokens", positive("output_tokens", output_tokens), "tokens")
        parts.append(_decode(rates, N, D, batch))
    if not parts:
        raise InputError("give prompt_tokens, output_tokens or both", field="output_tokens")
    hours = total("device_hours", "device-h", parts)
    return Lifetime(figures={f.name: f for f in [*parts, hours, *_priced(rates, hours)]})


def _prefill(rates: Rates, N: Figure, D: Figure) -> Figure:
    mfu = _banded(rates, "prefill_mfu", "prefill MFU")
    return product(
        "prefill_device_hours", "device-h", [constant(2), N, D], [rates.speed.peak, mfu, S_PER_H]
    )


def _decode(rates: Rates, N: Figure, D: Figure, batch: int | None) -> Figure:
    """Whichever binds: reading the weights once per step, or the products."""
    bandwidth = rates.device.mem_bw_gb_s
    if bandwidth is None:
        raise InputError(
            f"the memory bandwidth of {rates.device.id} is unknown: add it in an overlay",
            field="device",
        )
    n = batch if batch is not None else rates.tables.constants["inference"]["batch"]
    together = constant(positive("batch", n), "tokens per step")
    source = f"{rates.device.source} ({rates.device.as_of})"
    reads = leaf("bandwidth", bandwidth * 1e9, "B/s", source=source)
    share = _banded(rates, "bandwidth_share", "share of bandwidth")
    weights = constant(BYTES_PER_PARAM, "B/param")
    name = "decode_device_hours"
    by_memory = product(name, "device-h", [weights, N, D], [together, reads, share, S_PER_H])
    mfu = _banded(rates, "prefill_mfu", "MFU")
    by_compute = product(name, "device-h", [constant(2), N, D], [rates.speed.peak, mfu, S_PER_H])
    return max(by_memory, by_compute, key=lambda f: f.value)


def _banded(rates: Rates, key: str, name: str) -> Figure:
    row = rates.tables.constants["inference"]
    source = f"{row['source']} ({row['as_of']})"
    return leaf(name, row[key], "", band=(row[f"{key}_low"], row[f"{key}_high"]), source=source)


def _priced(rates: Rates, hours: Figure) -> list[Figure]:
    result = []
    if rates.price is not None:
        result.append(product("usd", "USD", [hours, rates.price]))
    if rates.place.power_w is not None:
        metered = energy(energy_it(hours, rates.place.power_w), rates.place)
        result += [metered, carbon(metered, rates.place)]
    return result
