"""Was a benchmark in the training data? `python -m trainer.contamination RUN --data DIR --examples FILE`

A list of examples can be read in any order, but it is published in one. A model that likes the
published order better than shuffled ones has seen the list; one that has not cannot know it, as
long as the order means nothing: of lines of one story every model prefers the order told.
Oren et al. 2023, "Proving test set contamination in black-box language models", arXiv:2310.17623,
section 3.2: the list is cut into shards, each compared with its own shuffles. Instead of their
t-test the shards' orders are drawn again at random, which is exact for few shards too.

    M orders    L tokens of a shard    T context    V vocabulary
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fitting.errors import InputError
from trainer.data.records import READERS, read_records, suffix_of
from trainer.models.lm import LM
from trainer.values import check_seed
from trainer.weights import open_run

N_DRAWS = 100_000  # the smallest p-value is one in this
MAX_LOGITS = 1 << 24  # at once

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contamination:
    p_value: float  # of an order as good as the published one, if the list was never seen
    advantage: float  # published order over the mean of the shuffled [nats/token]
    n_examples: int
    n_shards: int
    n_shuffles: int
    n_tokens: int  # of the list


def check_order(
    model: LM, examples: Sequence[Ids], *, n_shards: int, n_shuffles: int, seed: int
) -> Contamination:
    """Does the model prefer `examples` (token ids, separators included) in the order given?

    Args:
        n_shards: parts of the list; at least two examples in each.
        n_shuffles: random orders of each shard; a model call for each, per shard and context.

    Raises:
        InputError: too few examples, shards or shuffles.
    """
    _check(len(examples), n_shards, n_shuffles)
    rng = np.random.default_rng(seed)
    device = next(model.parameters()).device
    scores = np.empty((n_shards, 1 + n_shuffles))  # [nats]; column 0: as published
    for row, numbers in enumerate(np.array_split(np.arange(len(examples)), n_shards)):
        orders = [numbers, *(rng.permutation(numbers) for _ in range(n_shuffles))]
        ids_ML = np.stack([np.concatenate([examples[i] for i in order]) for order in orders])
        scores[row] = log_likelihoods(model, torch.from_numpy(ids_ML).to(device))
    n_tokens = sum(len(e) for e in examples)
    better = (scores[:, 0] - scores[:, 1:].mean(1)).sum()
    return Contamination(
        p_value=p_value(scores, rng),
        advantage=float(better / n_tokens),
        n_examples=len(examples),
        n_shards=n_shards,
        n_shuffles=n_shuffles,
        n_tokens=n_tokens,
    )


def p_value(scores: Floats, rng: np.random.Generator, n_draws: int = N_DRAWS) -> float:
    """Of column 0 of `scores` (R, 1 + M) against exchangeable columns; in [1 / (n_draws + 1), 1].

    The sum over rows of column 0, among sums of one random column in each row.
    """
    centred = scores - scores.mean(1, keepdims=True)  # shards differ in length and difficulty
    drawn = np.zeros(n_draws)
    for row in centred:
        drawn += row[rng.integers(0, len(row), n_draws)]
    as_good = drawn >= centred[:, 0].sum() - 1e-14 * np.abs(scores).sum()  # ties by rounding
    return float((1 + as_good.sum()) / (1 + n_draws))


@torch.no_grad()
def log_likelihoods(model: LM, ids_ML: Tensor) -> Floats:
    """log p of each row, from a document's start [nats]; contexts overlap by half."""
    n, context = ids_ML.shape[1], model.arch.context
    ids_ML = torch.cat([torch.zeros_like(ids_ML[:, :1]), ids_ML], dim=1)  # 0: a document begins
    at_once = max(1, MAX_LOGITS // (context * model.arch.vocab_size))
    total_M = torch.zeros(len(ids_ML), dtype=torch.float64)
    begin = done = 0
    while done < n:
        end = min(begin + context, n)
        window = ids_ML[:, begin : end + 1]
        parts = [
            _token_log_p(model, part)[:, done - begin :].sum(1)
            for part in torch.split(window, at_once)
        ]
        total_M += torch.cat(parts).double().cpu()
        done, begin = end, end - context // 2
    return total_M.numpy()


def _token_log_p(model: LM, window_MT1: Tensor) -> Tensor:
    logits_MTV = model(window_MT1[:, :-1]).float()
    return logits_MTV.log_softmax(-1).gather(-1, window_MT1[:, 1:, None])[..., 0]


def _check(n_examples: int, n_shards: int, n_shuffles: int) -> None:
    for name, value in (("shards", n_shards), ("shuffles", n_shuffles)):
        if value < 1:
            raise InputError(f"{name} must be at least 1; got {value}", field=name)
    if n_examples < 2 * n_shards:
        raise InputError(
            f"examples must be at least two for each of {n_shards} shards; got {n_examples} "
            f"(give more, or fewer shards)",
            field="examples",
        )


def read_examples(path: Path) -> list[str]:
    """In their order: records of .jsonl or .parquet with a field 'text', or lines of text."""
    if not path.is_file():
        raise InputError(f"examples must be a file; got {path}", field="examples")
    if suffix_of(path) in READERS:
        return [r.text for r in read_records(path)]
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as e:
        raise InputError(f"examples must be UTF-8; {path} is not: {e}", field="examples") from e
    return [line for line in text.splitlines() if line.strip()]


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the finding as JSON. Exit code 0 whatever it is, 2 bad input."""
    args = _parser().parse_args(argv)
    try:
        check_seed(args.seed)
        model, tokenizer = open_run(args.run, args.data)
        texts = [t.encode() + b"\n" for t in read_examples(args.examples)]
        found = check_order(
            model,
            [ids[:-1].astype(np.int64) for ids in tokenizer.encode(texts)],  # without the end
            n_shards=args.shards,
            n_shuffles=args.shuffles,
            seed=args.seed,
        )
    except InputError as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.contamination", description=__doc__)
    parser.add_argument("run", type=Path, help="a finished run's folder")
    parser.add_argument("--data", type=Path, required=True, help="its corpus")
    parser.add_argument("--examples", type=Path, required=True, help="in the published order")
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--shuffles", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
