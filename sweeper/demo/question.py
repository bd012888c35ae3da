"""What the demo asks: a sweep that two cores finish in a few minutes, and one budget beyond it.

The sizes bracket the optimum of each budget on Python sources with byte tokens; the final run
spends ten times the largest budget of the sweep.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A sweep as a person would write it, and the budget of the final run."""

    sizes: tuple[float, ...]  # N [params]
    budgets: tuple[float, ...]  # C [FLOP]
    final_flops: float
    tokens_per_param: tuple[float, float] = (3.5, 180.0)  # points outside are left out
    seeds: tuple[int, ...] = (0,)
    context: int = 128
    n_bootstrap: int = 1000
    corpus: str = "demo"
    domains: tuple[str, ...] = ("python",)
    max_bytes: int | None = None  # of the corpus; None: the default of `isoflop data prepare`
    recipe: tuple[tuple[str, float], ...] = ()

    @property
    def n_asked(self) -> int:
        """Points, before any is left out."""
        return len(self.sizes) * len(self.budgets) * len(self.seeds)

    def sweep_spec(self) -> dict[str, Any]:
        """The body of POST /v1/sweeps."""
        return {
            "name": "demo",
            "data": self.corpus,
            "context": self.context,
            "sizes": list(self.sizes),
            "budgets": list(self.budgets),
            "tokens_per_param": list(self.tokens_per_param),
            "seeds": list(self.seeds),
            "precision": "auto",
            "recipe": dict(self.recipe),
        }


# How these were found is in `reports/LOG.md`. One small batch for all: on a shared trunk the small
# budgets would otherwise be trained with the batch of the large ones, lose up to .03 nat by it, and
# bend the frontier. Windows of 64 bytes, and no budget below 1e11 FLOP: there the models still
# learn how to look back at all, and the frontier is steeper than it stays. Sizes far from the
# optimum, down to one token a parameter, tell the shape of the valley and cost little.
DEMO = Question(
    sizes=(18_000, 30_000, 52_000, 88_000, 150_000, 280_000),
    budgets=(1.2e11, 2.4e11, 4.8e11, 9.6e11),
    final_flops=9.6e12,
    tokens_per_param=(1.0, 150.0),
    context=64,
    recipe=(("batch_tokens", 512),),
)
