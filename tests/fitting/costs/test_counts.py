"""FLOP and parameter counts against the published models they were checked with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.architecture import Architecture
from fitting.costs.flops import forward_flops, hardware_flops, train_flops
from fitting.costs.tables import load_tables

MODELS = load_tables().models

# costs.md: FLOP per token with full attention, and its ratio to 6 N_total
EXACT = [
    ("nanochat-d20", 3_491_758_080, 1.037),
    ("nanochat-d32", 12_079_595_520, 1.071),
    ("llama3-8b", 5.791e10, 1.202),
    ("llama3-70b", 4.814e11, 1.137),
    ("llama3-405b", 2.6254e12, 1.078),
    ("gpt3-175b", 1.076e12, 1.028),
]


@pytest.mark.parametrize(("name", "flops_per_token", "ratio"), EXACT)
def test_the_exact_count_is_the_published_one(name, flops_per_token, ratio):
    shape = MODELS[name].architecture
    exact = shape.train_flops_per_token()
    assert exact == pytest.approx(flops_per_token, rel=5e-4 if flops_per_token > 2e10 else 0)
    assert exact / (6 * shape.n_params_total) == pytest.approx(ratio, abs=7e-4)


@pytest.mark.parametrize(
    ("name", "tokens", "total"),
    [("nanochat-d20", 11_219_763_200, 3.9177e19), ("nanochat-d32", 37_580_963_840, 4.5396e20)],
)
def test_the_exact_total_is_the_published_one(name, tokens, total):
    exact = MODELS[name].architecture.train_flops_per_token() * tokens
    assert exact == pytest.approx(total, rel=2e-5)


@pytest.mark.parametrize(
    ("N", "D", "C"),
    [(175e9, 300e9, 3.15e23), (37e9, 14.8e12, 3.286e24), (405e9, 15.6e12, 3.791e25)],
)
def test_6nd_is_the_headline_of_the_papers(N, D, C):
    assert train_flops(N, D) == pytest.approx(C, rel=2e-4)


def test_6nd_is_a_float_where_int64_would_overflow():
    assert train_flops(405_000_000_000, 15_600_000_000_000) > 2**63


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda m: m.id)
def test_our_count_is_the_one_the_authors_state(model):
    """Stated sizes are rounded to two or three digits, GPT-3's to the nearest handsome one."""
    tolerance = 0.02 if model.group == "gpt3" else 0.007
    assert model.architecture.n_params_total == pytest.approx(model.stated_params, rel=tolerance)


@pytest.mark.parametrize(
    ("name", "billions"),
    [("llama1-7b", 6.7), ("llama1-13b", 13.0), ("llama1-33b", 32.5), ("llama1-65b", 65.3)],
)
def test_llama_counts_to_the_printed_digit(name, billions):
    assert round(MODELS[name].architecture.n_params_total / 1e9, 1) == billions


def test_the_head_counts_forward_and_backward():
    """A tool that counted it forward only was 9.6 % low on nanochat d20."""
    shape = MODELS["nanochat-d20"].architecture
    head = 6 * shape.d_model * shape.vocab_size
    assert shape.train_flops_per_token() - head == pytest.approx(
        6 * shape.n_params_non_embedding + shape.attention_flops()
    )
    low = shape.train_flops_per_token() - head * 2 / 3
    assert low / shape.train_flops_per_token() - 1 == pytest.approx(-0.096, abs=1e-3)


def test_a_tied_head_multiplies_once_and_is_stored_once():
    tied, untied = (
        Architecture(n_layer=2, d_model=64, vocab_size=512, context=32, tied=t)
        for t in (True, False)
    )
    assert tied.train_flops_per_token() == untied.train_flops_per_token()
    assert untied.n_params_total - tied.n_params_total == 64 * 512


def test_causal_attention_is_half_and_a_window_limits_it():
    shape = {"n_layer": 2, "d_model": 64, "vocab_size": 512, "context": 128, "n_head": 4}
    full = Architecture(**shape)
    assert full.attention_flops(causal=True) == full.attention_flops() / 2
    assert Architecture(**shape, window=32).attention_flops() == full.attention_flops() / 4
    assert Architecture(**shape, window=999).attention_flops() == full.attention_flops()


def test_only_the_experts_a_token_meets_cost_compute():
    moe = Architecture(
        family="moe", n_layer=1, d_model=64, vocab_size=100, context=8, n_expert=8, top_k=2,
        n_shared=1, mlp="swiglu", d_ff=128,
    )  # fmt: skip
    expert, router = 3 * 64 * 128, 64 * 8
    assert moe.n_params == 4 * 64 * 64 + 3 * expert + router + 64 * 100
    assert moe.n_block == 4 * 64 * 64 + 9 * expert + router


def test_an_lstm_has_no_attention():
    lstm = Architecture(family="lstm", n_layer=2, d_model=64, vocab_size=100, context=128)
    assert lstm.train_flops_per_token() == 6 * (2 * 8 * 64**2 + 64 * 100)


@given(st.floats(1e6, 1e26))
def test_recomputation_adds_a_forward_pass_and_stays_out_of_6nd(flops):
    extra = hardware_flops(flops, recompute=True) - hardware_flops(flops, recompute=False)
    assert extra == pytest.approx(forward_flops(flops))


def test_a_shape_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="n_head must be a multiple of n_kv_head; got 8 and 3"):
        Architecture(n_layer=1, d_model=64, vocab_size=8, context=8, n_head=8, n_kv_head=3)
