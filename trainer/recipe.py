"""The training recipe for every run of a sweep and for the final run alike. No torch.

A function of the model and the tokens, never tuned per run: a law holds only where all its points
were trained by one rule. How the numbers were found is in `reports/LOG.md`.
"""

from fitting.costs.architecture import Architecture
from trainer.config import OptimizerSpec, ScheduleSpec

# At this shape; CompleteP carries the rate to other widths and depths.
BASE_LR, BASE_WIDTH, BASE_DEPTH = 5e-3, 64, 4
# Batch = 1,024 tokens · (D / 2M)^.38, at most 4M. The exponent is DeepSeek's and Cerebras's for
# the critical batch (arXiv:2401.02954, arXiv:2505.13738); the constant was measured here: a run of
# .5M tokens gains .1 nat when its batch falls from 2,048 to 512 tokens.
BATCH_TOKENS, AT_TOKENS, BATCH_EXPONENT, MAX_BATCH_TOKENS = 1024, 2e6, 0.38, 4_194_304


def recipe(model: Architecture, n_tokens: int) -> tuple[OptimizerSpec, ScheduleSpec, int]:
    """(optimizer, schedule, batch_tokens) for `model` on `n_tokens` [tokens].

    beta1 is .8: runs of some hundred steps end .03 nat lower than with .9, long ones the same.
    """
    optimizer = OptimizerSpec(
        lr=BASE_LR, beta1=0.8, beta2=0.95, base_width=BASE_WIDTH, base_depth=BASE_DEPTH
    )
    return optimizer, ScheduleSpec(warmup_share=0.05), batch_tokens_for(n_tokens, model.context)


def batch_tokens_for(n_tokens: float, context: int) -> int:
    """The rule's batch for a run of `n_tokens`, in whole windows [tokens]."""
    wanted = BATCH_TOKENS * (n_tokens / AT_TOKENS) ** BATCH_EXPONENT
    return whole_windows(min(MAX_BATCH_TOKENS, wanted), context)


def whole_windows(batch_tokens: float, context: int) -> int:
    """The nearest batch of whole windows, at least one; from 64 on a multiple of eight, so that
    large runs divide among the GPUs of a machine [tokens]."""
    n_windows = batch_tokens / context
    unit = 8 if n_windows >= 64 else 1
    return max(1, round(n_windows / unit)) * unit * context


def whole_steps(n_tokens: float, batch_tokens: int) -> int:
    """The horizon nearest to n_tokens that is a whole number of steps, at least ten [tokens]."""
    return max(10, round(n_tokens / batch_tokens)) * batch_tokens
