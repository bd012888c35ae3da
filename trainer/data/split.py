"""Which documents are held out: whole packages, so that no file's neighbours leak."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from trainer.data.sources import Document

SMALL_BYTES = 256_000  # a package this small may be held out whatever its share


def held_out_groups(documents: Sequence[Document], share: float) -> frozenset[str]:
    """Groups of the val split: in an order fixed by their names, small ones, until every domain
    holds out `share` of its bytes.

    A group above `share` of its domain (and above 256 kB) stays in training: one package must
    not be most of the validation. A domain with a single group holds out nothing here.
    """
    of_domain: Counter[str] = Counter()
    of_group: dict[str, Counter[str]] = {}
    for d in documents:
        of_domain[d.domain] += d.n_bytes
        of_group.setdefault(d.group, Counter())[d.domain] += d.n_bytes
    taken: Counter[str] = Counter()
    chosen: set[str] = set()
    for group in sorted(of_group, key=_rank):
        parts = of_group[group]
        wanted = any(taken[d] < share * of_domain[d] for d in parts)
        small = all(n <= max(share * of_domain[d], SMALL_BYTES) for d, n in parts.items())
        alone = any(n == of_domain[d] for d, n in parts.items())
        if wanted and small and not alone:
            chosen.add(group)
            taken.update(parts)
    return frozenset(chosen)


def is_held_out(document: Document, share: float) -> bool:
    """For documents without packages: a fixed pseudo-random share of them."""
    return int(document.rank[:8], 16) < share * 2**32


def _rank(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()
