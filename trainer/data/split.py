"""Which documents are held out: whole packages, so that no file's neighbours leak."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from trainer.data.sources import Document

ABOVE = 1.5  # a package may carry a domain's held-out bytes this far above their share


def held_out_groups(documents: Sequence[Document], share: float) -> frozenset[str]:
    """Groups of the val split: domain by domain, those of few groups first, in an order fixed by
    the groups' names, those that fit, until the domain holds out `share` of its bytes.

    A group too large for the share of one of its domains stays in training. Where all are, the
    domain holds out its smallest, unless that is half of it: its loss could not be measured
    otherwise. So a domain with a single group holds out nothing here.
    """
    of_group: dict[str, Counter[str]] = {}
    for d in documents:
        of_group.setdefault(d.group, Counter())[d.domain] += d.n_bytes
    total = sum(of_group.values(), Counter[str]())
    members = {d: sorted((g for g in of_group if of_group[g][d]), key=_rank) for d in total}
    taken: Counter[str] = Counter()
    chosen: set[str] = set()

    def reached(group: str) -> float:
        """The largest share of a domain that is held out once this group is."""
        return max((taken[d] + n) / total[d] for d, n in of_group[group].items())

    def take(group: str) -> None:
        chosen.add(group)
        taken.update(of_group[group])

    for domain in sorted(members, key=lambda d: (len(members[d]), d)):
        for group in members[domain]:
            short = taken[domain] < share * total[domain]
            if short and group not in chosen and reached(group) <= min(ABOVE * share, 0.9):
                take(group)
        if not taken[domain]:
            smallest = min(members[domain], key=reached)
            if reached(smallest) < 0.5:
                take(smallest)
    return frozenset(chosen)


def is_held_out(document: Document, share: float) -> bool:
    """For documents without packages: a fixed pseudo-random share of them."""
    return int(document.rank[:8], 16) < share * 2**32


def _rank(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()
