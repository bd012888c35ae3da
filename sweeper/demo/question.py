"""What the demo asks: a sweep that two cores finish in a few minutes, and one budget beyond it.

The sizes bracket the optimum of each budget on Python sources with byte tokens; the final run
spends ten times the largest budget of the sweep.
"""

from typing import Any

CORPUS = "demo"
DOMAINS = ("python",)
SIZES = (7_000, 12_000, 20_000, 34_000, 58_000)
BUDGETS = (1e11, 2e11, 4e11, 8e11)  # FLOP
TOKENS_PER_PARAM = (10.0, 800.0)
FINAL_FLOPS = 10 * BUDGETS[-1]
N_BOOTSTRAP = 1000


def sweep_spec() -> dict[str, Any]:
    """The sweep as a person would write it."""
    return {
        "name": "demo",
        "data": CORPUS,
        "sizes": list(SIZES),
        "budgets": list(BUDGETS),
        "tokens_per_param": list(TOKENS_PER_PARAM),
        "precision": "auto",
    }
