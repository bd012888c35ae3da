"""`python -m trainer.sample RUN --data DIR --prompt "def "`: what a trained model writes.

Every token is recomputed from the last context: enough to look at a model, not to serve it.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from fitting.errors import InputError
from trainer.models.lm import LM
from trainer.values import check_seed
from trainer.weights import open_run

COLDEST = 1e-6  # below, logits divided by it overflow


@torch.no_grad()
def sample(
    model: LM, prompt: Sequence[int], *, n_tokens: int, temperature: float, seed: int
) -> Iterator[int]:
    """n_tokens ids that continue `prompt`; temperature 0 takes the likeliest."""
    rng = torch.Generator().manual_seed(seed)
    ids = list(prompt) or [0]  # 0 ends a document, so it begins one too
    for _ in range(n_tokens):
        logits_V = model(torch.tensor([ids[-model.arch.context :]]))[0, -1].float()
        if temperature == 0:
            ids.append(int(logits_V.argmax()))
        else:
            p_V = (logits_V / temperature).softmax(-1)
            ids.append(int(torch.multinomial(p_V, 1, generator=rng)))
        yield ids[-1]


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        text = _continue(args)
    except InputError as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    sys.stdout.write(text + "\n")
    return 0


def _continue(args: argparse.Namespace) -> str:
    if args.tokens < 1:
        raise InputError(f"tokens must be at least 1; got {args.tokens}", field="tokens")
    if args.temperature != 0 and not COLDEST <= args.temperature < math.inf:
        raise InputError(
            f"temperature must be 0 (the likeliest) or at least {COLDEST:g} and finite; got "
            f"{args.temperature}",
            field="temperature",
        )
    check_seed(args.seed)
    model, tokenizer = open_run(args.run, args.data)
    prompt = tokenizer.encode([args.prompt.encode()])[0][:-1].tolist()  # without the end
    ids = sample(model, prompt, n_tokens=args.tokens, temperature=args.temperature, seed=args.seed)
    return str(args.prompt) + tokenizer.decode(ids)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.sample", description=__doc__)
    parser.add_argument("run", type=Path, help="a finished run's folder")
    parser.add_argument("--data", type=Path, required=True, help="its corpus")
    parser.add_argument("--prompt", default="")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
