"""Refuse a run that cannot be trained here, before anything is allocated.

Every refusal is an InputError that names the field, the value found, and the remedy.
"""

from fitting.errors import InputError
from trainer.config import RunSpec
from trainer.data.manifest import Manifest
from trainer.data.mixture import Mixture


def validate(spec: RunSpec, manifest: Manifest) -> None:
    """The spec against the corpus and against what the families can build."""
    _check_data(spec, manifest)
    _check_mixture(spec, manifest)
    _check_tokens(spec, manifest)
    _check_shape(spec)


def _check_data(spec: RunSpec, manifest: Manifest) -> None:
    if spec.data.fingerprint != manifest.fingerprint:
        raise InputError(
            f"data.fingerprint is {spec.data.fingerprint[:12]}…; the corpus there has "
            f"{manifest.fingerprint[:12]}… (give the corpus the run was planned with)",
            field="data.fingerprint",
        )
    if spec.model.vocab_size != manifest.vocab_size:
        raise InputError(
            f"model.vocab_size must be the tokenizer's, {manifest.vocab_size}; got "
            f"{spec.model.vocab_size}",
            field="model.vocab_size",
        )


def _check_mixture(spec: RunSpec, manifest: Manifest) -> None:
    for field in ("mixture", "cooldown_mixture"):
        mixture: tuple[tuple[str, float], ...] = getattr(spec.data, field)
        for name, _ in mixture:
            if name not in manifest.domains:
                raise InputError(
                    f"data.{field} names domain {name!r}; the corpus has {list(manifest.domains)}",
                    field=f"data.{field}",
                )
        try:
            Mixture.of(dict(mixture) or {"all": 1.0})
        except ValueError as e:
            raise InputError(f"data.{field}: {e}", field=f"data.{field}") from e


def _check_tokens(spec: RunSpec, manifest: Manifest) -> None:
    named = [d for d, _ in spec.data.mixture] or list(manifest.domains)
    domains = list(dict.fromkeys([*named, *(d for d, _ in spec.data.cooldown_mixture)]))
    for split in ("train", "val"):
        longest = max((s.n_tokens for d in domains for s in manifest.select(split, d)), default=0)
        if longest <= spec.model.context:
            raise InputError(
                f"model.context must be shorter than the {split} split's {longest} tokens; got "
                f"{spec.model.context}",
                field="model.context",
            )
    n_train = sum(manifest.n_tokens("train", d) for d in domains)
    if spec.n_tokens > spec.data.max_epochs * n_train:
        raise InputError(
            f"horizons ask for {spec.n_tokens} tokens; the corpus holds {n_train} and "
            f"data.max_epochs is {spec.data.max_epochs:g} (raise it to at least "
            f"{spec.n_tokens / n_train:.2f}, or prepare more text)",
            field="horizons",
        )


def _check_shape(spec: RunSpec) -> None:
    if spec.model.family == "lstm" and spec.data.documents == "masked":
        raise InputError(
            "data.documents must be 'packed' for family 'lstm', whose state runs through the whole "
            "window; got 'masked' (pack documents, or take family 'transformer')",
            field="data.documents",
        )
    if spec.model.family == "gpt2" and spec.model.gated:
        raise InputError(
            "model.mlp must be 'gelu' or 'relu2' for family 'gpt2'; got 'swiglu'",
            field="model.mlp",
        )
    if spec.model.family in ("transformer", "moe") and spec.model.d_head % 2:
        raise InputError(
            f"model.d_head must be even for rotary positions; got {spec.model.d_head} (change "
            f"d_model or n_head)",
            field="model.d_head",
        )
