"""The training recipe for every run of a sweep and for the final run alike. No torch.

A function of the model and the tokens, never tuned per run: a law holds only where all its points
were trained by one rule.
"""

from fitting.costs.architecture import Architecture
from trainer.config import OptimizerSpec, ScheduleSpec

BASE_LR = 5e-3  # at base_width 64 and base_depth 4; CompleteP carries it to other shapes
BASE_WIDTH, BASE_DEPTH = 64, 4
BATCH_TOKENS = 1024


def recipe(model: Architecture, n_tokens: int) -> tuple[OptimizerSpec, ScheduleSpec, int]:
    """(optimizer, schedule, batch_tokens) for `model` on `n_tokens` [tokens]."""
    n_windows = max(1, round(BATCH_TOKENS / model.context))
    optimizer = OptimizerSpec(lr=BASE_LR, beta1=0.8, base_width=BASE_WIDTH, base_depth=BASE_DEPTH)
    del n_tokens  # the batch does not depend on it yet
    return optimizer, ScheduleSpec(), n_windows * model.context


def whole_steps(n_tokens: float, batch_tokens: int) -> int:
    """The horizon nearest to n_tokens that is a whole number of steps, at least ten [tokens]."""
    return max(10, round(n_tokens / batch_tokens)) * batch_tokens
