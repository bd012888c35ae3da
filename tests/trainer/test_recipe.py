import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.architecture import Architecture
from fitting.errors import InputError
from trainer.config import DataSpec, RunSpec
from trainer.ladder import architecture_for, n_layer_for
from trainer.recipe import batch_tokens_for, recipe, whole_steps

sizes = st.floats(math.log(5e3), math.log(1e11)).map(math.exp)


@given(sizes)
def test_the_ladder_meets_its_target_with_bytes(n_params):
    shape = architecture_for(n_params, vocab_size=256, context=128)
    assert shape.n_params == pytest.approx(n_params, rel=0.1)
    assert shape.d_head % 2 == 0


@given(st.floats(math.log(1e7), math.log(1e11)).map(math.exp))
def test_the_ladder_meets_its_target_with_a_large_vocabulary(n_params):
    shape = architecture_for(n_params, vocab_size=32_768, context=2048, mlp="swiglu")
    assert shape.n_params == pytest.approx(n_params, rel=0.1)


@pytest.mark.parametrize("family", ["lstm", "moe", "gpt2"])
@given(st.floats(math.log(5e3), math.log(1e10)).map(math.exp))
def test_the_ladders_of_other_families_meet_their_targets(family, n_params):
    shape = architecture_for(n_params, vocab_size=256, context=128, family=family)
    assert shape.n_params == pytest.approx(n_params, rel=0.1)


@given(sizes, st.floats(1.5, 100))
def test_a_larger_target_is_never_shallower(n_params, factor):
    assert n_layer_for(n_params * factor) >= n_layer_for(n_params)


def test_depths_are_those_of_known_models():
    assert round(n_layer_for(85e6)) == 12  # GPT-2's blocks
    assert n_layer_for(6.5e9) == pytest.approx(32, abs=1.5)  # Llama 7B


@pytest.mark.parametrize("n_params", [10, 1e19, float("nan"), float("inf")])
def test_a_size_without_a_shape_is_refused(n_params):
    with pytest.raises(
        InputError, match="n_params must be at least 1126 with vocab_size=256, and at"
    ):
        architecture_for(n_params, vocab_size=256, context=128)


@given(sizes, st.floats(math.log(1e5), math.log(1e13)).map(math.exp))
def test_every_recipe_is_a_run(n_params, n_tokens):
    shape = architecture_for(n_params, vocab_size=256, context=128)
    optimizer, schedule, batch_tokens = recipe(shape, round(n_tokens))
    spec = RunSpec(
        model=shape,
        data=DataSpec(fingerprint="x"),
        horizons=(whole_steps(n_tokens, batch_tokens),),
        batch_tokens=batch_tokens,
        optimizer=optimizer,
        schedule=schedule,
        seed=0,
    )
    assert spec.n_tokens == pytest.approx(n_tokens, rel=0.01, abs=10 * batch_tokens)


@given(st.floats(1e5, 1e13), st.floats(1, 1e4))
def test_the_batch_never_shrinks_with_the_tokens(n_tokens, factor):
    assert batch_tokens_for(n_tokens * factor, 128) >= batch_tokens_for(n_tokens, 128)


def test_the_rule_at_its_anchor():
    assert batch_tokens_for(2e6, 128) == 1024
    assert batch_tokens_for(1e30, 128) == 4_194_304
    assert batch_tokens_for(1, 128) == 128
    assert batch_tokens_for(2e9, 2048) == 2048 * 7


@given(sizes)
def test_a_large_batch_divides_among_the_gpus_of_a_machine(n_tokens):
    n_windows = batch_tokens_for(n_tokens, 128) // 128
    assert n_windows < 64 or n_windows % 8 == 0


def test_the_base_rate_is_one_for_all_shapes():
    rates = {
        recipe(Architecture(n_layer=n, d_model=d, vocab_size=256, context=128), 10**7)[0].lr
        for n, d in ((2, 16), (4, 64), (8, 512))
    }
    assert len(rates) == 1
