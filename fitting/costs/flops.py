"""C, the compute of a training run: the one definition that laws are fitted and priced with.

The exact count per architecture is in `fitting.costs.architecture`; it is shown beside C and
never mixed with it.
"""

C_CONVENTION = "6ND"  # travels with every stored C


def train_flops(n_params: float, n_tokens: float) -> float:
    """C = 6 N D [FLOP]: 2 forward and 4 backward per multiplied parameter and token.

    N counts what is multiplied with every token: no embedding lookup, but the output head
    (`Architecture.n_params`). Attention scores are left out.
    A float on purpose: 6 N D overflows int64 once N D > 1.5e18.
    Source: Kaplan et al. 2020, arXiv:2001.08361, sec. 2.1.
    """
    return 6.0 * n_params * n_tokens


def n_tokens_for(flops: float, n_params: float) -> float:
    """D such that 6 N D = C [tokens]."""
    return flops / (6.0 * n_params)


# `Architecture.train_flops_per_token`; w is the context T, or the sliding window
EXACT_CONVENTION = "6N + 12 L H d_h w"
CAUSAL_CONVENTION = "6N + 12 L H d_h w, w = T/2 unless sliding"


def forward_flops(flops: float) -> float:
    """A forward pass alone: a third of a training step [FLOP]."""
    return flops / 3.0


def hardware_flops(flops: float, *, recompute: bool) -> float:
    """What the device executes: 4/3 with full recomputation. Never part of an MFU [FLOP]."""
    return flops * 4.0 / 3.0 if recompute else flops
