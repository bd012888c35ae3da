"""A prepared corpus as windows of tokens: batches by (seed, step), and fixed held-out windows.

A window is T + 1 tokens (inputs and their successors) starting at a multiple of T. Batch `step`
depends on (seed, step) only: not on the world size, the worker, or where a run was resumed.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.config import DataSpec
from trainer.data.manifest import Manifest, Split
from trainer.data.mixture import Mixture
from trainer.data.permute import key_of, permute
from trainer.data.shards import open_tokens

Windows = npt.NDArray[np.int64]  # (B, T + 1)
CHUNK = 4096  # indices that are permuted at once


@dataclass(frozen=True, slots=True)
class Tokens:
    """Windows of one domain and split over its memory maps."""

    maps: list[npt.NDArray[Any]]
    context: int

    @property
    def n_per_map(self) -> list[int]:
        return [max(0, (len(m) - 1) // self.context) for m in self.maps]

    @property
    def n_windows(self) -> int:
        return sum(self.n_per_map)

    def take(self, window: npt.NDArray[np.int64]) -> Windows:
        """Windows by number, (R,) → (R, T + 1)."""
        ends = np.cumsum(self.n_per_map)
        out = np.empty((len(window), self.context + 1), dtype=np.int64)
        for row, w in enumerate(window.tolist()):
            shard = int(np.searchsorted(ends, w, side="right"))
            start = (w - (int(ends[shard - 1]) if shard else 0)) * self.context
            out[row] = self.maps[shard][start : start + self.context + 1]
        return out


class Corpus:
    """Opens memory maps; holds no state that training changes."""

    def __init__(self, folder: Path, data: DataSpec, *, context: int) -> None:
        self.folder, self.context = folder, context
        self.manifest = Manifest.load(folder)
        self.weights = mixture_weights(self.manifest, data.mixture)
        dealt = data.mixture or data.cooldown_mixture
        self.mixture = Mixture.of(self.weights) if dealt else None
        cool = dict(data.cooldown_mixture)
        self.cool = Mixture.of(cool) if cool else None
        self.train = {d: self._open("train", d) for d in {**self.weights, **cool}}
        self.val = {d: self._open("val", d) for d in self.weights}
        self._all = Tokens([m for t in self.train.values() for m in t.maps], context)

    @property
    def n_windows(self) -> int:
        """Of all training domains together."""
        return self._all.n_windows

    def _open(self, split: Split, domain: str) -> Tokens:
        return Tokens(open_tokens(self.folder, self.manifest, split, domain), self.context)

    def batch(
        self, step: int, n_windows: int, *, seed: int, cooling_from: int | None = None
    ) -> Windows:
        """Windows step·n … step·n + n - 1 of the run's sample order, (n, T + 1).

        With a mixture of its own, a branch that cools from step `cooling_from` goes on in every
        domain after what the trunk may have used of it.
        """
        sample = np.arange(step * n_windows, (step + 1) * n_windows, dtype=np.int64)
        if self.mixture is None:
            return self._all.take(_shuffled(sample, self._all.n_windows, seed))
        mixture, used = self.mixture, dict.fromkeys(self.mixture.domains, 0)
        if self.cool is not None and cooling_from is not None:
            used = mixture.n_used(cooling_from * n_windows)
            mixture, sample = self.cool, sample - cooling_from * n_windows
        domain, rank = mixture.deal(sample, seed)
        out = np.empty((n_windows, self.context + 1), dtype=np.int64)
        for i, name in enumerate(mixture.domains):
            tokens, mine = self.train[name], domain == i
            if mine.any():
                index = _shuffled(rank[mine] + used.get(name, 0), tokens.n_windows, seed, name)
                out[mine] = tokens.take(index)
        return out

    def n_unique(self, n_tokens: int, n_cooling: int = 0) -> int:
        """Distinct training tokens of a run of n_tokens, the last n_cooling of them cooling."""
        if self.mixture is None:
            return min(n_tokens, self._all.n_windows * self.context)
        trunk = self.mixture.tokens(n_tokens - n_cooling)
        end = (self.cool or self.mixture).tokens(n_cooling)
        share = {d: trunk.get(d, 0) + end.get(d, 0) for d in self.train}
        return sum(min(round(n), self.train[d].n_windows * self.context) for d, n in share.items())

    def n_held_out(self, n_tokens: int) -> dict[str, int]:
        """Validation windows of each domain that its weight asks for; it may have fewer."""
        total = sum(self.weights.values())
        return {
            d: max(1, round(n_tokens / self.context * weight / total))
            for d, weight in self.weights.items()
        }

    def held_out(self, n_tokens: int) -> Iterator[tuple[str, Windows]]:
        """The fixed validation windows: per domain, evenly spaced, in proportion to weights."""
        for domain, wanted in self.n_held_out(n_tokens).items():
            tokens = self.val[domain]
            n = min(wanted, tokens.n_windows)
            if n:
                yield domain, tokens.take(np.linspace(0, tokens.n_windows - 1, n).astype(np.int64))


def mixture_weights(manifest: Manifest, mixture: tuple[tuple[str, float], ...]) -> dict[str, float]:
    """Weight of every domain used: as asked, else its share of the training tokens."""
    if mixture:
        return dict(mixture)
    n = manifest.n_tokens("train")
    shares = {d: manifest.n_tokens("train", d) / n for d in manifest.domains}
    return {d: share for d, share in shares.items() if share}


def _shuffled(
    sample: npt.NDArray[np.int64], n: int, seed: int, domain: str = ""
) -> npt.NDArray[np.int64]:
    """Sample number → window: another permutation of all n windows in every epoch and domain."""
    epoch, index = np.divmod(sample, n)
    chunk, within = np.divmod(index, CHUNK)
    out = np.empty_like(sample)
    for e, c in {*zip(epoch.tolist(), chunk.tolist(), strict=True)}:
        mine = (epoch == e) & (chunk == c)
        out[mine] = _chunk(c, n, key_of("epoch", seed, e, domain))[within[mine]]
    return out


@functools.lru_cache(maxsize=256)
def _chunk(c: int, n: int, key: int) -> npt.NDArray[np.int64]:
    """The permutation of indices from c · CHUNK on. A run asks for neighbours, a few at a time,
    and for a few numpy takes half a millisecond each time."""
    return permute(np.arange(c * CHUNK, min(n, (c + 1) * CHUNK)), n, key).astype(np.int64)
