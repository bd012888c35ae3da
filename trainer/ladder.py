"""A size ladder: which shape a model of about N parameters has. No torch.

Depth follows width by one smooth rule, the MLP's width takes up what is left over, so that N is
met within a few per cent from 5 thousand to 100 billion parameters.
"""

import math

from fitting.costs.architecture import Architecture, Family, Mlp
from fitting.errors import InputError

MIN_PARAMS = 1_000
MAX_PARAMS = 1e18  # a million times the largest model trained so far
MOE_EXPERTS, MOE_TOP_K = 8, 2
# (below this width, multiples of): what hardware likes, and fine steps for small models
_GRID = ((16, 2), (32, 4), (256, 8), (2048, 64), (math.inf, 128))
# d_model / n_layer: 64 at GPT-2's 85M block parameters and 128 from 10B on, as in Llama; slowly
# fewer layers per width below. Three layers up to about .4M parameters: between two and three
# the loss steps down (2 % at 8e12 FLOP), and a law fitted on one side is wrong on the other.
MIN_LAYERS = 3.0
ASPECT_AT_85M, ASPECT_SLOPE, ASPECT_MAX = 64.0, 0.15, 128.0


def architecture_for(
    n_params: float,
    *,
    vocab_size: int,
    context: int,
    family: Family = "transformer",
    mlp: Mlp = "relu2",
) -> Architecture:
    """The ladder's shape whose N (`Architecture.n_params`) is closest to `n_params`.

    Args:
        n_params: target N [params], at least 1,000 and more than an output head of width 4.

    Raises:
        InputError: too small for this vocabulary, or larger than anything.
    """
    floor = max(MIN_PARAMS, round(4.4 * vocab_size))
    if not floor <= n_params <= MAX_PARAMS:
        raise InputError(
            f"n_params must be at least {floor} with vocab_size={vocab_size}, and at most "
            f"{MAX_PARAMS:g}; got {n_params:g}",
            field="n_params",
        )
    n_layer = 2 if family == "lstm" else round(n_layer_for(n_params))
    per_layer = 8 if family == "lstm" else 12
    # the positive root of per_layer L d² + V d = N
    a = per_layer * n_layer
    width = (math.sqrt(vocab_size**2 + 4 * a * n_params) - vocab_size) / (2 * a)
    shapes = [
        _shape(
            n_params,
            n_layer=n_layer,
            d_model=d_model,
            vocab_size=vocab_size,
            context=context,
            family=family,
            mlp=mlp,
        )
        for d_model in _widths(width, family)
    ]
    return min(shapes, key=lambda s: _misfit(s, n_params))


def n_layer_for(n_params: float) -> float:
    """Depth before rounding: from N = 12 L d² and d = aspect · L."""
    aspect = min(ASPECT_MAX, ASPECT_AT_85M * (n_params / 85e6) ** ASPECT_SLOPE)
    return max(MIN_LAYERS, float((n_params / 12 / aspect**2) ** (1 / 3)))


def _widths(width: float, family: Family) -> tuple[int, ...]:
    grid = 1 if family == "lstm" else next(g for limit, g in _GRID if width < limit)
    below = max(4, int(width // grid) * grid)
    return below, below + grid


def _shape(
    n_params: float,
    *,
    n_layer: int,
    d_model: int,
    vocab_size: int,
    context: int,
    family: Family,
    mlp: Mlp,
) -> Architecture:
    """The MLP is as wide as it takes to meet N, between 2 and 7 times the model."""
    if family == "lstm":
        return Architecture(
            family=family, n_layer=n_layer, d_model=d_model, vocab_size=vocab_size, context=context
        )
    n_active = MOE_TOP_K if family == "moe" else 1
    router = d_model * MOE_EXPERTS if family == "moe" else 0
    rest = (n_params - vocab_size * d_model) / n_layer - 4 * d_model**2 - router
    grid = 4 if d_model < 64 else 16 if d_model < 512 else 64
    width_ff = rest / ((3 if mlp == "swiglu" else 2) * d_model * n_active)
    d_ff = round(min(max(width_ff, 2 * d_model / n_active), 7 * d_model) / grid) * grid
    return Architecture(
        family=family,
        n_layer=n_layer,
        d_model=d_model,
        vocab_size=vocab_size,
        context=context,
        n_head=_n_head(d_model),
        d_ff=max(d_ff, grid),
        mlp=mlp,
        n_expert=MOE_EXPERTS if family == "moe" else 0,
        top_k=MOE_TOP_K if family == "moe" else 0,
    )


def _n_head(d_model: int) -> int:
    """Heads about 16 wide in tiny models, 64 from width 512 on, 128 from 2,048 on; even."""
    d_head = 16 if d_model < 128 else 32 if d_model < 512 else 64 if d_model < 2048 else 128
    low = [h for h in range(1, math.isqrt(d_model) + 1) if d_model % h == 0]
    heads = [h for h in {*low, *(d_model // h for h in low)} if d_model // h % 2 == 0]
    return min(heads or [1], key=lambda h: abs(math.log(d_model / h / d_head)))


def _misfit(shape: Architecture, n_params: float) -> float:
    """Distance in N first, in the MLP's usual proportion second."""
    usual = 8 / 3 if shape.gated else 4.0
    return abs(math.log(shape.n_params / n_params)) + 0.1 * abs(
        math.log(shape.d_ff / shape.d_model / usual)
    )
