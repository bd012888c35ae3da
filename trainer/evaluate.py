"""Loss on fixed held-out windows: nats/token, bits/byte, per domain, with its standard error.

    python -m trainer.evaluate RUN --data DIR [--tokens N]

repeats the measurement of a finished run, with every figure for every domain; on more tokens, or on
another corpus of the same tokenizer.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fitting.errors import InputError
from trainer.config import DataSpec
from trainer.data.corpus import Corpus
from trainer.data.manifest import Manifest
from trainer.execution import Execution, find_device
from trainer.models.lm import LM
from trainer.result import Result
from trainer.weights import load_model

EVAL_WINDOWS = 64  # at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    loss: float  # nats/token, mean over windows, which are as many of a domain as its weight asks
    loss_se: float  # of that mean, over windows; common to all runs that share the windows
    bits_per_byte: float
    by_domain: dict[str, float]  # nats/token
    n_tokens: int

    def to_dict(self) -> dict[str, Any]:
        """Raises OverflowError where the perplexity is beyond all numbers."""
        return {
            "loss": self.loss,
            "loss_se": self.loss_se,
            "perplexity": math.exp(self.loss),
            "bits_per_byte": self.bits_per_byte,
            "n_tokens": self.n_tokens,
        }


def evaluate(model: LM, corpus: Corpus, execution: Execution, *, n_tokens: int) -> Evaluation:
    """Mean cross-entropy over the corpus's fixed windows, about n_tokens of them.

    Where a domain's held-out text is too short for its weight, the domains' means are weighted.
    """
    parts = _losses(model, corpus, execution, n_tokens)
    return _whole(corpus, parts, n_tokens)


def evaluate_domains(
    model: LM, corpus: Corpus, execution: Execution, *, n_tokens: int
) -> dict[str, Evaluation]:
    """The same, and each domain by itself; the whole is called "all"."""
    parts = _losses(model, corpus, execution, n_tokens)
    alone = {d: _summary(corpus, {d: part}) for d, part in parts.items()}
    return {"all": _whole(corpus, parts, n_tokens), **alone}


@torch.no_grad()
def _losses(model: LM, corpus: Corpus, execution: Execution, n_tokens: int) -> dict[str, Tensor]:
    """One value per window, (R,) for each domain."""
    return {
        domain: torch.cat(list(_window_losses(model, torch.from_numpy(windows), execution)))
        for domain, windows in corpus.held_out(n_tokens)
    }


def _whole(corpus: Corpus, parts: dict[str, Tensor], n_tokens: int) -> Evaluation:
    wanted = corpus.n_held_out(n_tokens)
    plain = _summary(corpus, parts)
    if len(parts) == 1 or all(len(part) == wanted[d] for d, part in parts.items()):
        return plain
    total = sum(corpus.weights[d] for d in parts)
    weights = {d: corpus.weights[d] / total for d in parts}
    spread = torch.cat(list(parts.values())).double().std().item()  # of a domain of one window
    variance = {
        d: (part.double().std().item() if len(part) > 1 else spread) ** 2 / len(part)
        for d, part in parts.items()
    }
    loss = sum(w * plain.by_domain[d] for d, w in weights.items())
    n_bytes = sum(w * corpus.manifest.bytes_per_token("val", d) for d, w in weights.items())
    return replace(
        plain,
        loss=loss,
        loss_se=math.sqrt(sum(w**2 * variance[d] for d, w in weights.items())),
        bits_per_byte=loss / math.log(2) / n_bytes,
    )


def _summary(corpus: Corpus, parts: dict[str, Tensor]) -> Evaluation:
    loss_R = torch.cat(list(parts.values())).double()  # one value per window
    n_windows = len(loss_R)
    loss = loss_R.mean().item()
    n_bytes = sum(
        len(part) * corpus.manifest.bytes_per_token("val", d) for d, part in parts.items()
    )
    return Evaluation(
        loss=loss,
        loss_se=loss_R.std().item() / math.sqrt(n_windows) if n_windows > 1 else 0.0,
        bits_per_byte=loss / math.log(2) * n_windows / n_bytes,
        by_domain={d: part.double().mean().item() for d, part in parts.items()},
        n_tokens=n_windows * corpus.context,
    )


def _window_losses(model: LM, windows: Tensor, execution: Execution) -> Iterator[Tensor]:
    for chunk in torch.split(windows, EVAL_WINDOWS):
        with execution.autocast():
            yield model.window_losses(chunk.to(execution.device)).cpu()


def main(argv: Sequence[str] | None = None) -> int:
    """Prints JSON by domain. Exit code 0 done, 2 bad input."""
    args = _parser().parse_args(argv)
    try:
        found = _evaluate_run(args.run, args.data, args.tokens, find_device(args.device))
    except InputError as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    figures = {domain: e.to_dict() for domain, e in found.items()}
    sys.stdout.write(json.dumps(figures, indent=2, allow_nan=False) + "\n")
    return 0


def _evaluate_run(
    folder: Path, data_dir: Path, n_tokens: int | None, device: str
) -> dict[str, Evaluation]:
    model, spec = load_model(folder, device=device)
    if n_tokens is not None and n_tokens < spec.model.context:
        raise InputError(
            f"tokens must be at least the context, {spec.model.context}; got {n_tokens}",
            field="tokens",
        )
    manifest = Manifest.load(data_dir)
    own = manifest.fingerprint == spec.data.fingerprint
    if not own:
        _check_tokenizer(folder, manifest)
    data = spec.data if own else DataSpec(fingerprint=manifest.fingerprint)
    corpus = Corpus(data_dir, data, context=spec.model.context)
    if not any(tokens.n_windows for tokens in corpus.val.values()):
        raise InputError(
            f"data must hold out more tokens than the model's context, {spec.model.context}, in one "
            f"piece; {data_dir} holds out {manifest.n_tokens('val')} (give another corpus)",
            field="data",
        )
    result = Result.load(folder)
    in_bf16 = result is not None and result.precision == "bf16"
    execution = Execution(device=device, precision="bf16" if in_bf16 else "fp32", compiled=False)
    return evaluate_domains(model, corpus, execution, n_tokens=n_tokens or spec.eval_tokens)


def _check_tokenizer(folder: Path, manifest: Manifest) -> None:
    """Of another corpus: it must give the model the ids it knows."""
    result = Result.load(folder)
    known = result.measurements[-1]["tokenizer_fingerprint"] if result else ""
    if known != manifest.tokenizer_fingerprint:
        raise InputError(
            f"data must have the tokenizer of {folder}, {known[:12] or 'unknown'}; got "
            f"{manifest.tokenizer_fingerprint[:12]} (give a corpus prepared with the same one)",
            field="data",
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="a finished run's folder")
    parser.add_argument("--data", type=Path, required=True, help="a prepared corpus")
    parser.add_argument(
        "--tokens", type=int, help="held-out tokens; default: the run's eval_tokens"
    )
    parser.add_argument("--device", default="cpu")
    return parser


if __name__ == "__main__":
    sys.exit(main())
