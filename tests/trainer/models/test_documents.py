"""Masked: a document is read as if it stood alone. Packed: whatever stands in the window is seen."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.architecture import Architecture
from fitting.errors import InputError
from trainer.config import OptimizerSpec
from trainer.data.corpus import Corpus
from trainer.data.manifest import END_OF_DOCUMENT
from trainer.job import run_job
from trainer.models.layers import same_document
from trainer.models.lm import build
from trainer.validate import validate
from trainer.weights import load_model

OPT = OptimizerSpec(lr=0.01)
FAMILIES = {
    "transformer": {},
    "grouped, gated": {"n_kv_head": 1, "mlp": "swiglu"},
    "window": {"window": 5},
    "moe": {"family": "moe", "n_expert": 3, "top_k": 2},
    "gpt2": {"family": "gpt2", "mlp": "gelu"},
}


def _model(changes, documents="masked"):
    base = {"n_layer": 2, "d_model": 16, "n_head": 2, "vocab_size": 50, "context": 24}
    return build(Architecture(**{**base, **changes}), OPT, seed=0, documents=documents)


def _text(n, seed):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(1, 50, (n,), generator=rng)


END = torch.tensor([END_OF_DOCUMENT])


@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("changes", FAMILIES.values(), ids=FAMILIES)
def test_a_masked_token_does_not_depend_on_the_document_before(changes, bf16):
    own = _text(11, seed=0)
    one, two = (torch.cat([_text(12, seed=s), END, own])[None] for s in (1, 2))
    masked, packed = _model(changes), _model(changes, "packed")
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        torch.testing.assert_close(masked(one)[0, 12:], masked(two)[0, 12:], rtol=0, atol=0)
        assert not torch.allclose(packed(one)[0, 12:], packed(two)[0, 12:])


@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("changes", FAMILIES.values(), ids=FAMILIES)
def test_no_gradient_reaches_the_document_before(changes, bf16):
    """Of the last logits to the embedding of words that only the first document has."""
    model = _model(changes)
    first, own = torch.arange(1, 13), torch.arange(13, 24)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        model(torch.cat([first, END, own])[None])[0, 12:].square().sum().backward()
    reached = model.embed.weight.grad.abs().sum(1)
    assert reached[1:13].count_nonzero() == 0
    assert reached[13:24].count_nonzero() == 11


@pytest.mark.parametrize("name", ["transformer", "grouped, gated", "window", "moe"])
def test_nor_on_its_length_where_positions_are_relative(name):
    own = torch.cat([END, _text(8, seed=0)])
    model = _model(FAMILIES[name])
    late = model(torch.cat([_text(15, seed=1), own])[None])[0, 15:]
    torch.testing.assert_close(late, model(own[None])[0])


@pytest.mark.parametrize("changes", FAMILIES.values(), ids=FAMILIES)
def test_one_document_alone_is_the_same_masked_or_packed(changes):
    tokens = _text(25, seed=0)[None]
    masked, packed = (_model(changes, documents) for documents in ("masked", "packed"))
    assert torch.equal(masked(tokens[:, :-1]), packed(tokens[:, :-1]))
    assert [x.item() for x in masked.losses(tokens)] == [x.item() for x in packed.losses(tokens)]


def test_the_loss_of_a_document_is_its_own():
    """Windows of two documents: the mean over each one's targets, the separator's word included."""
    model = _model({})
    a, b = torch.cat([END, _text(11, seed=1)]), torch.cat([END, _text(12, seed=2)])
    joint = model.window_losses(torch.cat([a, b])[None])
    first = model.window_losses(torch.cat([a, END])[None])
    second = model.window_losses(b[None])
    torch.testing.assert_close(joint, (12 * first + 12 * second) / 24)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12))
def test_positions_are_together_when_no_end_lies_between(tokens):
    together = same_document(torch.tensor([tokens]))[0, 0]
    for i in range(len(tokens)):
        for j in range(i + 1):
            assert together[i, j].item() == (END_OF_DOCUMENT not in tokens[j + 1 : i + 1])


def test_masking_changes_the_run_and_resumes_exactly(tmp_path, make_spec, corpus_dir):
    spec = make_spec(model={"context": 64}, batch_tokens=256, horizons=(10 * 256, 20 * 256),
                     data={"documents": "masked"})  # fmt: skip
    corpus = Corpus(corpus_dir, spec.data, context=64)
    assert (corpus.batch(0, 2000, seed=0) == END_OF_DOCUMENT).any()
    whole = run_job(tmp_path / "whole", spec, corpus_dir)
    polls = iter(range(10**9))
    run_job(tmp_path / "parts", spec, corpus_dir, should_stop=lambda: next(polls) >= 1)
    assert run_job(tmp_path / "parts", spec, corpus_dir).measurements == whole.measurements
    model, found = load_model(tmp_path / "whole")
    assert model.masked
    assert found == spec


def test_a_recurrent_state_cannot_be_masked(make_spec, manifest):
    spec = make_spec(model={"family": "lstm", "n_head": 1}, data={"documents": "masked"})
    message = (
        r"data.documents must be 'packed' for family 'lstm'.*got 'masked' \(pack documents, or"
    )
    with pytest.raises(InputError, match=message) as refused:
        validate(spec, manifest)
    assert refused.value.field == "data.documents"


@pytest.mark.parametrize("documents", ["masked", "packed"])
@pytest.mark.parametrize("changes", FAMILIES.values(), ids=FAMILIES)
def test_the_fused_kernel_of_gpus_sees_the_same(changes, documents, monkeypatch):
    """scaled_dot_product_attention with our mask, run on the processor."""
    model = _model(changes, documents)
    tokens = torch.cat([_text(9, seed=1), END, _text(14, seed=2)])[None]
    written_out = model(tokens)
    monkeypatch.setattr(torch.Tensor, "is_cuda", property(lambda _: True), raising=False)
    torch.testing.assert_close(model(tokens), written_out)
