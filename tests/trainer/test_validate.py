"""Bad input is refused with field, value and remedy, before anything is allocated."""

import json
import re

import pytest

from fitting.errors import InputError
from trainer.data.prepare import prepare
from trainer.execution import find_device
from trainer.job import run_job
from trainer.validate import validate


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        (
            {"data": {"fingerprint": "0" * 64}},
            "data.fingerprint",
            r"data.fingerprint is 0{12}…; the corpus there has .* \(give the corpus",
        ),
        (
            {"model": {"vocab_size": 300}},
            "model.vocab_size",
            "model.vocab_size must be the tokenizer's, 256; got 300",
        ),
        (
            {"data": {"mixture": (("poems", 1.0),)}},
            "data.mixture",
            "data.mixture names domain 'poems'; the corpus has",
        ),
        (
            {"data": {"mixture": (("docs", 1.0), ("python", 1e-5))}},
            "data.mixture",
            "at least 1/1024 of the whole",
        ),
        (
            {"model": {"context": 10**8}, "batch_tokens": 10**8, "horizons": (10**9,)},
            "model.context",
            r"model.context must be shorter than the train split's \d+ tokens; got 100000000",
        ),
        (
            {"horizons": (64 * 10**7,)},
            "horizons",
            r"horizons ask for 640000000 tokens; the corpus holds \d+ .*raise it to at least",
        ),
        (
            {"model": {"d_model": 18, "n_head": 2}},
            "model.d_head",
            "model.d_head must be even for rotary positions; got 9",
        ),
        (
            {"model": {"family": "gpt2", "mlp": "swiglu"}},
            "model.mlp",
            "model.mlp must be 'gelu' or 'relu2' for family 'gpt2'; got 'swiglu'",
        ),
    ],
)
def test_a_run_that_cannot_be_trained_is_refused(make_spec, manifest, changes, field, message):
    with pytest.raises(InputError, match=message) as refused:
        validate(make_spec(**changes), manifest)
    assert refused.value.field == field


def test_no_domain_of_a_mixture_repeats_unasked(make_spec, manifest):
    n = manifest.n_tokens("train", "docs")
    horizon = 2 * n // 64 * 64
    data = {"mixture": (("docs", 0.9), ("python", 0.1))}
    message = rf"horizons ask for \d+ tokens of domain 'docs'; the corpus holds {n} and .* is 1 "
    with pytest.raises(InputError, match=message) as refused:
        validate(make_spec(horizons=(horizon,), data=data), manifest)
    asked = float(re.search(r"at least ([\d.]+)", str(refused.value))[1])
    assert asked == pytest.approx(1.8, abs=0.011)
    validate(make_spec(horizons=(horizon,), data=data | {"max_epochs": asked}), manifest)


def test_the_end_phase_counts_as_repeating_too(make_spec, manifest):
    n, total = manifest.n_tokens("train", "docs"), manifest.n_tokens("train")
    horizon = total * 8 // 10 // 64 * 64
    data = {"cooldown_mixture": (("docs", 1.0),)}
    with pytest.raises(InputError, match="tokens of domain 'docs'") as refused:
        validate(make_spec(horizons=(horizon,), data=data), manifest)
    asked = float(re.search(r"at least ([\d.]+)", str(refused.value))[1])
    assert asked == pytest.approx((0.8 * n / total + 0.2) * horizon / n, abs=0.02)


@pytest.fixture
def uneven(tmp_path):
    """A large domain, one below 1/1024 of it, and one without held-out text."""
    big = [{"text": f"number {i} " * 20, "domain": "big"} for i in range(1000)]
    rows = [*big, {"text": "a few words", "domain": "tiny"}, {"text": "w " * 2000, "domain": "one"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return prepare(tmp_path / "corpus", [tmp_path / "a.jsonl"], val_share=0.2)


@pytest.mark.parametrize(
    ("mixtures", "field", "message"),
    [
        (
            ((), (("big", 1.0),)),
            "data.mixture",
            r"at least 1/1024 of the whole; \['tiny'\] are below \(with data",
        ),
        (
            ((("big", 0.5), ("tiny", 0.5)), ()),
            "model.context",
            "than the train split's 12 tokens of domain 'tiny'; got 16",
        ),
        (
            ((("big", 0.5), ("one", 0.5)), ()),
            "model.context",
            "than the val split's 0 tokens of domain 'one'; got 16",
        ),
    ],
)
def test_each_domain_of_a_mixture_has_windows(make_spec, uneven, mixtures, field, message):
    data = dict(zip(("mixture", "cooldown_mixture"), mixtures, strict=True))
    data["fingerprint"] = uneven.fingerprint
    with pytest.raises(InputError, match=message) as refused:
        validate(make_spec(data=data), uneven)
    assert refused.value.field == field
    validate(make_spec(data={"fingerprint": uneven.fingerprint}), uneven)


def test_repeating_is_allowed_when_asked_for(make_spec, manifest):
    n = manifest.n_tokens("train") // 64 * 64 + 64
    validate(make_spec(horizons=(n,), data={"max_epochs": 2.0}), manifest)


def test_a_refused_job_leaves_nothing(tmp_path, make_spec, corpus_dir):
    with pytest.raises(InputError):
        run_job(tmp_path / "run", make_spec(model={"vocab_size": 300}), corpus_dir)
    with pytest.raises(InputError, match=r"device must be 'auto' or one of \['cpu'"):
        run_job(tmp_path / "run", make_spec(), corpus_dir, device="cuda:99")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "cuda:x"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(InputError, match=f"got '{device}'") as refused:
        find_device(device)
    assert refused.value.field == "device"


def test_the_processor_is_always_there():
    assert find_device("cpu") == "cpu"
    assert find_device("auto") in ("cpu", "cuda")
