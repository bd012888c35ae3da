"""Which domain each sample of a run comes from, and its number within the domain.

Samples are dealt in blocks of 1,024 with fixed counts per domain, shuffled by block: sample k is
known without looking at those before it, and no window repeats before its domain is used up.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.data.permute import key_of, permute

BLOCK = 1024
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """`counts` samples of each domain per block; weights are rounded to 1/1024 at the largest
    remainders."""

    domains: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> "Mixture":
        """Raises ValueError where a weight is too small for a single sample in 1,024."""
        total = sum(weights.values())
        exact = np.array([w / total * BLOCK for w in weights.values()])
        if (exact < 1).any():
            small = [d for d, e in zip(weights, exact, strict=True) if e < 1]
            raise ValueError(
                f"mixture weights must be at least 1/{BLOCK} of the whole; {small} are below"
            )
        counts = np.floor(exact).astype(int)
        rest = np.argsort(counts - exact, kind="stable")[: BLOCK - int(counts.sum())]
        counts[rest] += 1
        return cls(domains=tuple(weights), counts=tuple(int(c) for c in counts))

    def deal(self, sample: Ints, seed: int) -> tuple[Ints, Ints]:
        """Domain number and number within the domain of each sample, both (R,)."""
        block, slot = np.divmod(sample, BLOCK)
        slot = np.concatenate(
            [
                permute(slot[block == b], BLOCK, key_of("block", seed, b)).astype(np.int64)
                for b in np.unique(block).tolist()
            ]
        )  # samples of a batch are consecutive, so blocks are in order
        ends = np.cumsum(self.counts)
        domain = np.searchsorted(ends, slot, side="right")
        starts = ends - np.array(self.counts)
        return domain, block * np.array(self.counts)[domain] + slot - starts[domain]

    def tokens(self, n_tokens: int) -> dict[str, float]:
        """Of each domain, out of n_tokens."""
        return {d: n_tokens * c / BLOCK for d, c in zip(self.domains, self.counts, strict=True)}

    def n_used(self, n_samples: int) -> dict[str, int]:
        """Samples of each domain that may have been used after n_samples (block rounded up)."""
        n_blocks = -(-n_samples // BLOCK)
        return {d: c * n_blocks for d, c in zip(self.domains, self.counts, strict=True)}
