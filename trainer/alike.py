"""Which runs may be trained together as one batched model (`trainer.stack`), and when that pays.

No torch here: whoever plans work asks this before anything is loaded.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fitting.errors import InputError
from trainer.config import RunSpec

# Their operators batch over a further dimension: no routing by value, no fused recurrence.
BATCHABLE = ("transformer", "gpt2")
MOST_LOGITS = 1 << 26  # of one run's batch; above, the loss goes by chunks and does not batch

# (largest model that gains, most runs together) by device. One core: 8 runs of 11k to 33k take 1.9
# times the tokens of one, of 150k 1.5 times, 16 little more (reports/LOG.md, 2026-11-21). GPU:
# reasoned from launches and arithmetic, not measured.
PAYS = {"cpu": (200_000, 8), "cuda": (2_000_000, 32)}


def check_alike(specs: Sequence[RunSpec]) -> None:
    """Raises InputError unless these may be trained together: alike but for rate and seed, of a
    family whose operators batch, and small enough for all logits at once."""
    plain = [spec.to_dict() for spec in specs]
    first = shared(plain[0])
    for other in plain[1:]:
        different = sorted(k for k, v in shared(other).items() if v != first[k])
        if different:
            raise _refused(
                f"may differ in optimizer.lr and seed only; these differ in {', '.join(different)}",
                different[0],
            )
    why_not = does_not_batch(plain[0])
    if why_not:
        raise _refused(*why_not)


def does_not_batch(plain: Mapping[str, Any]) -> tuple[str, str] | None:
    """Why runs such as this one (`RunSpec.to_dict`) must be trained alone, and the field."""
    family, vocabulary = plain["model"]["family"], plain["model"]["vocab_size"]
    if family not in BATCHABLE:
        return f"must be of a family of {BATCHABLE}; got {family!r}", "model.family"
    if plain["batch_tokens"] * vocabulary > MOST_LOGITS:
        return (
            f"take all logits of a batch at once, {MOST_LOGITS} at most; got batch_tokens "
            f"{plain['batch_tokens']} times vocab_size {vocabulary}"
        ), "batch_tokens"
    return None


def shared(plain: Mapping[str, Any]) -> dict[str, Any]:
    """What runs trained together have in common, by dotted name."""
    optimizer = {f"optimizer.{k}": v for k, v in plain["optimizer"].items() if k != "lr"}
    return optimizer | {k: v for k, v in plain.items() if k not in ("optimizer", "seed")}


def most_together(plain: Mapping[str, Any], *, n_params: int, on_gpu: bool) -> int:
    """How many runs such as this one to train together; 1 where alone is as fast."""
    largest, most = PAYS["cuda" if on_gpu else "cpu"]
    return most if n_params <= largest and does_not_batch(plain) is None else 1


def _refused(why: str, field: str) -> InputError:
    return InputError(f"runs trained together {why} (train them one by one)", field=field)
