"""Bad input is refused with field, value and remedy, before anything is allocated."""

import pytest

from fitting.errors import InputError
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
