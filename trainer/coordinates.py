"""Coordinate check: how far activations move in the first steps, by width and depth.

    python -m trainer.coordinates --widths 32,128,512 --depths 2,8,32 [--transfer none] [--json]

Where the rate transfers they move alike in every model; where it does not, they grow or vanish with
its size, and so would the best rate. Tokens are random, no corpus is needed.
Source: Yang et al. 2022 (arXiv:2203.03466), app. D.1; with depth Dey et al. 2025 (arXiv:2505.01618).
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from fitting.costs.architecture import Architecture
from fitting.errors import InputError
from trainer.config import OptimizerSpec
from trainer.models.lm import LM, build
from trainer.optim import make_optimizer

VOCAB, CONTEXT, N_WINDOWS = 64, 16, 8
HEAD = 16  # width of a head
NAMES = ("features", "logits")  # what the head sees, and what it makes of it


def moved(arch: Architecture, spec: OptimizerSpec, *, n_steps: int = 5) -> dict[str, float]:
    """Root mean square change of the last features and of the logits over `n_steps`."""
    model = build(arch, spec, seed=0)
    optimizer = make_optimizer(model, spec)
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(arch.vocab_size, (N_WINDOWS, arch.context + 1), generator=generator)
    before = _outputs(model, x)
    for _ in range(n_steps):
        model.losses(x)[0].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    after = _outputs(model, x)
    return {name: (after[name] - t).square().mean().sqrt().item() for name, t in before.items()}


@torch.no_grad()
def _outputs(model: LM, x: Tensor) -> dict[str, Tensor]:
    features, _ = model.body(model.embed(x[:, :-1]))
    return dict(zip(NAMES, (features, model(x[:, :-1])), strict=True))


def table(
    widths: list[int], depths: list[int], *, transfer: str, lr: float
) -> list[dict[str, float]]:
    """A row for every width and depth; the base shape is the smallest of each.

    Raises:
        ValueError: a width that heads do not divide, a depth that cannot be meant, or a rate at
            which nothing moves, or all is lost.
    """
    if bad := [d for d in widths if d < HEAD or d % HEAD]:
        raise InputError(f"widths must be multiples of {HEAD}; got {bad[0]}", field="widths")
    spec = OptimizerSpec(
        lr=lr, transfer=transfer, base_width=min(widths), base_depth=min(depths)  # type: ignore[arg-type]
    )  # fmt: skip
    rows = []
    for depth in depths:
        for width in widths:
            arch = Architecture(
                n_layer=depth, d_model=width, n_head=width // HEAD, vocab_size=VOCAB, context=CONTEXT
            )  # fmt: skip
            rows.append({"n_layer": depth, "d_model": width} | moved(arch, spec))
            if lost := [n for n in NAMES if not 0 < rows[-1][n] < math.inf]:
                raise InputError(
                    f"lr={lr:g} moves the {lost[0]} of {depth} layers of width {width} by "
                    f"{rows[-1][lost[0]]:g}, which compares with nothing (take another)", field="lr",
                )  # fmt: skip
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        rows = table(args.widths, args.depths, transfer=args.transfer, lr=args.lr)
    except ValueError as e:  # InputError too
        sys.stderr.write(f"error: {e}\n")
        return 2
    text = json.dumps(rows, indent=1) if args.json else "\n".join(_lines(rows))
    sys.stdout.write(f"{text}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", type=_numbers, default=[32, 128, 512])
    parser.add_argument("--depths", type=_numbers, default=[2, 8, 32])
    parser.add_argument("--transfer", default="completep", choices=("completep", "none"))
    parser.add_argument("--lr", type=float, default=0.01, help="at the smallest shape")
    parser.add_argument("--json", action="store_true", help="print strict JSON")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _lines(rows: list[dict[str, float]]) -> Iterator[str]:
    """Each change, and in brackets over that of the first row."""
    for row in rows:
        parts = [f"{n} {row[n]:.3g} ({row[n] / rows[0][n]:.2f})" for n in NAMES]
        yield f"{row['n_layer']:>3} layers, width {row['d_model']:>4}: {', '.join(parts)}"


if __name__ == "__main__":
    sys.exit(main())
