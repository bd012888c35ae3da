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


# One small batch for all: on a shared trunk the small budgets would otherwise be trained with the
# batch of the large ones, lose up to .03 nat by it, and bend the frontier. Windows of 128 bytes:
# with 64 the loss flattens above 1e12 FLOP, which no smaller budget foretells.
DEMO = Question(
    sizes=(12_000, 20_000, 34_000, 58_000, 98_000, 165_000),
    budgets=(1e11, 2e11, 4e11, 8e11),
    final_flops=8e12,
    recipe=(("batch_tokens", 512),),
)
