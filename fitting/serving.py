"""The model that is cheapest over its whole life at a given loss: trained longer, served smaller.

    minimise over N   6 N D(N) + 2 N D_inf,   D(N) = (B / (loss - E - A N^-alpha))^(1/beta)

in FLOP, or in money with a price per FLOP for training, for reading prompts and for writing.
Source: Sardana et al. 2023, arXiv:2401.00448, eq. 3 and 5.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fitting.errors import InputError, RefusalError

GOLDEN = (np.sqrt(5) - 1) / 2
N_STEPS = 120  # of the golden section: 1e-25 of the bracket
MOST_N = 1e16  # params; above it the bracket ends


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """Cost of one FLOP of each kind, in any one unit; all 1: compute itself.

    For money: usd per device-hour / (3600 x peak FLOP/s x utilisation); reading prompts runs at
    training-like utilisation, writing at a tenth of it.
    """

    train: float = 1.0
    prompt: float = 1.0
    output: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifetime:
    """The optimum; `cost` in the unit of the prices, `flops` of training and serving together."""

    n_params: float
    n_tokens: float
    cost: float
    flops: float


def cheapest(
    law: Mapping[str, float], *, loss: float, prompt_tokens: float = 0.0,
    output_tokens: float = 0.0, prices: Prices | None = None,
) -> Lifetime:  # fmt: skip
    """The cheapest model that reaches `loss` and serves so many tokens.

    Args:
        law: E, A, B, alpha, beta.
        loss: target, above E.
        prompt_tokens, output_tokens: read and written over the model's life [tokens].
        prices: per FLOP; None: total compute.

    Raises:
        RefusalError: `loss` is not above the law's floor.
        InputError: negative tokens.
    """
    if min(prompt_tokens, output_tokens) < 0:
        raise InputError(f"tokens to serve must not be negative; got {min(prompt_tokens, output_tokens)}", field="inference_tokens")  # fmt: skip
    if loss <= law["E"]:
        raise RefusalError(f"no model reaches a loss of {loss:.4g}: the law's floor E is {law['E']:.4g}", code="below_floor")  # fmt: skip
    p = prices or Prices()
    serving = 2 * (p.prompt * prompt_tokens + p.output * output_tokens)

    def cost(log_n: float) -> float:
        N = np.exp(log_n)
        return float(N * (6 * p.train * tokens_for(law, N, loss) + serving))

    smallest = float(np.log(law["A"] / (loss - law["E"])) / law["alpha"])
    log_n = _golden(cost, smallest + 1e-6, float(np.log(MOST_N)))
    N = float(np.exp(log_n))
    D = tokens_for(law, N, loss)
    total = N * (6 * D + 2 * (prompt_tokens + output_tokens))
    return Lifetime(n_params=N, n_tokens=D, cost=cost(log_n), flops=total)


def tokens_for(law: Mapping[str, float], N: float, loss: float) -> float:
    """D at which a model of N parameters reaches `loss`; infinite where it never does."""
    rest = loss - law["E"] - law["A"] * N ** -law["alpha"]
    return float((law["B"] / rest) ** (1 / law["beta"])) if rest > 0 else float("inf")


def _golden(f: Callable[[float], float], low: float, high: float) -> float:
    """Minimum of a unimodal function on [low, high]."""
    a, b = low, high
    c, d = b - GOLDEN * (b - a), a + GOLDEN * (b - a)
    fc, fd = f(c), f(d)
    for _ in range(N_STEPS):
        if fc < fd:
            b, d, fd = d, c, fc
            c = b - GOLDEN * (b - a)
            fc = f(c)
        else:
            a, c, fc = c, d, fd
            d = a + GOLDEN * (b - a)
            fd = f(d)
    return (a + b) / 2
