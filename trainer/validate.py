"""Refuse a run that cannot be trained here, before anything is allocated.

Every refusal is an InputError that names the field, the value found, and the remedy.
"""

import math
from collections.abc import Mapping

from fitting.errors import InputError
from trainer.config import RunSpec
from trainer.data.corpus import mixture_weights
from trainer.data.manifest import Manifest, Split
from trainer.data.mixture import Mixture


def validate(spec: RunSpec, manifest: Manifest) -> None:
    """The spec against the corpus and against what the families can build."""
    _check_data(spec, manifest)
    _check_mixture(spec, manifest)
    _check_windows(spec, manifest)
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
        if mixture:
            _check_weights(dict(mixture), field, "give them more, or leave them out")
    if spec.data.cooldown_mixture and not spec.data.mixture:
        remedy = "with data.cooldown_mixture, give a data.mixture that leaves them out"
        _check_weights(mixture_weights(manifest, ()), "mixture", remedy)


def _check_weights(weights: Mapping[str, float], field: str, remedy: str) -> None:
    try:
        Mixture.of(weights)
    except ValueError as e:
        raise InputError(f"data.{field}: {e} ({remedy})", field=f"data.{field}") from e


def _check_windows(spec: RunSpec, manifest: Manifest) -> None:
    """There must be one in both splits; in each domain, where a mixture says what is drawn."""
    data, weights = spec.data, mixture_weights(manifest, spec.data.mixture)
    dealt = data.mixture or data.cooldown_mixture
    trained = [[d] for d in {**weights, **dict(data.cooldown_mixture)}] if dealt else [[*weights]]
    measured = [[d] for d in weights] if data.mixture else [[*weights]]
    needed: dict[Split, list[list[str]]] = {"train": trained, "val": measured}
    for split, groups in needed.items():
        for domains in groups:
            shards = [s for d in domains for s in manifest.select(split, d)]
            longest = max((s.n_tokens for s in shards), default=0)
            if longest <= spec.model.context:
                of = f" of domain {domains[0]!r}" if len(groups) > 1 else ""
                raise InputError(
                    f"model.context must be shorter than the {split} split's {longest} tokens{of}; "
                    f"got {spec.model.context}",
                    field="model.context",
                )


def _check_tokens(spec: RunSpec, manifest: Manifest) -> None:
    """No domain is read more often than data.max_epochs, up to any horizon."""
    most = max(
        (n / manifest.n_tokens("train", d or None), n, d)
        for h in spec.horizons
        for d, n in _drawn(spec, manifest, h).items()
    )
    n_epochs, n_tokens, domain = most
    if n_epochs > spec.data.max_epochs:
        n_train = manifest.n_tokens("train", domain or None)
        of = f" of domain {domain!r}" if domain else ""
        raise InputError(
            f"horizons ask for {n_tokens:.0f} tokens{of}; the corpus holds {n_train} and "
            f"data.max_epochs is {spec.data.max_epochs:g} (raise it to at least "
            f"{math.ceil(100 * n_epochs) / 100:.2f}, or prepare more text)",
            field="horizons",
        )


def _drawn(spec: RunSpec, manifest: Manifest, horizon: int) -> dict[str, float]:
    """Tokens of each domain that a mixture deals up to a horizon; without one "" is the whole."""
    data = spec.data
    if not (data.mixture or data.cooldown_mixture):
        return {"": horizon}
    main = Mixture.of(mixture_weights(manifest, data.mixture))
    cool = Mixture.of(dict(data.cooldown_mixture)) if data.cooldown_mixture else main
    n_trunk = spec.cooldown_start(horizon) * spec.batch_tokens
    trunk, end = main.tokens(n_trunk), cool.tokens(horizon - n_trunk)
    return {d: trunk.get(d, 0) + end.get(d, 0) for d in {**trunk, **end}}


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
