"""A law's data point, and the hash of the code that produced it."""

import functools
import hashlib
from pathlib import Path
from typing import Any

import fitting.costs.architecture
from fitting.costs.flops import train_flops
from trainer.config import RunSpec
from trainer.data.corpus import Corpus
from trainer.evaluate import Evaluation


def measurement(
    spec: RunSpec, corpus: Corpus, n_tokens: int, evaluation: Evaluation
) -> dict[str, Any]:
    """A law's data point; C = 6 N D of this point alone, not of the job that produced it."""
    arch = spec.model
    return {
        "n_params": arch.n_params,
        "n_tokens": n_tokens,
        "loss": evaluation.loss,
        "loss_se": evaluation.loss_se,
        "bits_per_byte": evaluation.bits_per_byte,
        "loss_by_domain": evaluation.by_domain,
        "decayed": True,
        "flops": train_flops(arch.n_params, n_tokens),
        "flops_exact": arch.train_flops_per_token() * n_tokens,
        "n_params_total": arch.n_params_total,
        "n_params_non_embedding": arch.n_params_non_embedding,
        "unique_tokens": corpus.n_unique(
            n_tokens, n_tokens - spec.cooldown_start(n_tokens) * spec.batch_tokens
        ),
        "eval_tokens": evaluation.n_tokens,
        "tokenizer": corpus.manifest.tokenizer,
        "tokenizer_fingerprint": corpus.manifest.tokenizer_fingerprint,
        "data_fingerprint": spec.data.fingerprint,
    }


@functools.cache
def code_hash() -> str:
    """SHA-256 of the trainer's sources and of the definition of N: what produced a number."""
    root = Path(__file__).parent
    files = [*sorted(root.rglob("*.py")), Path(fitting.costs.architecture.__file__)]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
