"""What is to be trained, in whichever way the caller knows it, and its compute."""

from dataclasses import dataclass, replace

from fitting.costs.architecture import Architecture
from fitting.costs.figures import S_PER_H, Figure, constant, leaf, positive, product
from fitting.costs.flops import (
    C_CONVENTION,
    CAUSAL_CONVENTION,
    EXACT_CONVENTION,
    train_flops,
)
from fitting.costs.rates import Rates
from fitting.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """Either `flops`, or N (or a shape) and D; or nothing but the hours."""

    flops: float | None = None
    n_params: float | None = None
    n_tokens: float | None = None
    architecture: Architecture | None = None
    device_hours: float | None = None  # disclosed or metered: replaces what speed would give

    def __post_init__(self) -> None:
        for name in ("flops", "n_params", "n_tokens", "device_hours"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        if self.flops is not None and (self.n_params is not None or self.n_tokens is not None):
            raise InputError("give flops, or n_params and n_tokens; not both", field="flops")

    @property
    def hours(self) -> Figure | None:
        hours = self.device_hours
        return None if hours is None else leaf("device_hours", hours, "device-h")

    @property
    def params(self) -> float | None:
        """Parameters stated, or those of the shape."""
        if self.n_params is not None or self.architecture is None:
            return self.n_params
        return float(self.architecture.n_params)


def compute(work: Workload, rates: Rates) -> list[Figure]:
    """C as 6ND, and beside it the exact count where the shape is known.

    Raises:
        InputError: not enough is known; names what is missing.
    """
    N, D = work.params, work.n_tokens
    if work.flops is not None:
        return [leaf("flops", work.flops, "FLOP")]
    if N is None and D is None and work.hours is not None:
        return [product("flops", "FLOP", [work.hours, rates.speed.flop_s, S_PER_H])]
    if N is None or D is None:
        missing = "n_tokens" if D is None else "n_params"
        raise InputError(
            f"{missing} is missing: give flops, or n_params (or an architecture) and n_tokens",
            field=missing,
        )
    return _counted(N, D, work.architecture)


def _counted(N: float, D: float, architecture: Architecture | None) -> list[Figure]:
    params, tokens = leaf("n_params", N, "params"), leaf("n_tokens", D, "tokens")
    C = product("flops", "FLOP", [constant(6), params, tokens], note=C_CONVENTION)
    exactly = train_flops(N, D)  # the one definition of C, to the last bit
    C = replace(C, value=exactly, low=exactly, high=exactly)
    if architecture is None:
        return [C]
    full = constant(architecture.train_flops_per_token(), "FLOP/token")
    half = constant(architecture.train_flops_per_token(causal=True), "FLOP/token")
    return [
        C,
        product("flops_exact", "FLOP", [full, tokens], note=EXACT_CONVENTION),
        product("flops_causal", "FLOP", [half, tokens], note=CAUSAL_CONVENTION),
    ]
