import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.small import core_speed
from fitting.costs.tables import load_tables
from fitting.errors import InputError
from sweeper.plan import plan
from sweeper.spec import parse
from tests.sweeper.conftest import manifest
from trainer.recipe import batch_tokens_for

GOOD = {"name": "a", "sizes": [1e4, 4e4], "budgets": [1e11, 3e11]}


def made(n_tokens=100_000_000, **changes):
    return plan(
        parse({k: v for k, v in (GOOD | changes).items() if v is not None}), manifest(n_tokens)
    )


def test_one_trunk_per_size_is_measured_at_each_budget():
    p = made()
    assert [len(run.spec.horizons) for run in p.runs] == [2, 2]
    for run in p.runs:
        for horizon, asked in run.budgets:
            flops = 6 * run.spec.model.n_params * horizon
            assert flops == pytest.approx(asked, rel=0.5 * run.spec.batch_tokens / horizon + 1e-9)


def test_separate_trunks_cost_more_and_measure_the_same_points():
    same_batch = {"recipe": {"batch_tokens": 2048}}  # the recipe's own may follow the tokens
    shared, separate = made(**same_batch), made(share_trunks=False, **same_batch)
    points = [
        {(r.spec.model, h) for r in p.runs for h in r.spec.horizons} for p in (shared, separate)
    ]
    assert points[0] == points[1]
    assert len(separate.runs) == 4
    assert shared.flops < separate.flops


def test_seeds_and_grids_multiply_as_they_say():
    grid = [
        {"size": 1e4, "tokens": [1e6, 2e6]},
        {"size": {"n_layer": 2, "d_model": 32}, "tokens": [1e6]},
    ]
    p = made(sizes=None, budgets=None, grid=grid, seeds=[0, 1, 2])
    assert len(p.runs) == 6
    assert len({run.spec.fingerprint() for run in p.runs}) == 6


@given(
    sizes=st.lists(st.floats(5e3, 5e4), min_size=1, max_size=4, unique=True),
    budgets=st.lists(st.floats(1e11, 1e12), min_size=1, max_size=4, unique=True),
)
def test_every_point_is_planned_merged_or_told(sizes, budgets):
    asked = {"sizes": sizes, "budgets": budgets, "tokens_per_param": [20, 500]}
    try:
        p = made(n_tokens=10**12, **asked)
    except InputError:
        return  # all of them were outside
    told = sum(note.count("budgets.") for note in p.notes if note.startswith("left out"))
    merged = any("same shape" in note or "whole steps" in note for note in p.notes)
    n_points = sum(len(run.spec.horizons) for run in p.runs)
    assert n_points + told == len(sizes) * len(budgets) or merged
    assert p.flops == pytest.approx(sum(run.spec.flops for run in p.runs))


def test_the_price_is_that_of_the_compute():
    p = made()
    price = p.price()
    assert price["flops"] == p.flops
    assert price["device"] == "cpu-core"
    runs = [(run.spec.model.n_params, run.spec.flops) for run in p.runs]
    speed = core_speed(runs, load_tables())["measured_flop_s"]
    assert price["hours"] == pytest.approx(p.flops / speed / 3600)
    assert 0 < price["usd"] < 1
    assert p.to_dict()["n_points"] == 4


def test_two_sizes_of_one_shape_are_trained_once_and_told():
    p = made(sizes=[1e4, 1.0001e4])
    assert len(p.runs) == 1
    assert "sizes.1 has the same shape as a size before it" in p.notes[0]


BAD = [
    ({"budgets": [1e9], "recipe": {"batch_tokens": 2048}}, "budgets.0", r"fewer than 10 steps of 2048 .*tokens_per_param: \[2.05, …\]"),
    ({"budgets": [1e14]}, "max_epochs", "must be at least 16.7: .*'default' holds 100000000"),
    ({"sizes": [{"n_layer": 2, "d_model": 30, "n_head": 4}]}, "sizes.0", "multiple of n_head; got 30 and 4"),
    ({"sizes": [10]}, "sizes.0", r"at least 1126 with vocab_size=256, and at most 1e\+18; got 10"),
    ({"sizes": [1e300]}, "sizes.0", r"at most 1e\+18; got 1e\+300"),
    ({"limits": {"usd": 1e-6}}, "limits.usd", "is 1e-06 and the plan comes to"),
    ({"limits": {"flops": 1e9}}, "limits.flops", "raise the limit or ask for fewer"),
    ({"limits": {"hours": 1e-9}}, "limits.hours", "raise the limit"),
    ({"device": "cuda"}, "priced_as", "must name the GPU when device is cuda"),
    ({"priced_as": "abacus"}, "priced_as", "priced_as: device 'abacus' is unknown; known are"),
    ({"budgets": [1e30], "max_epochs": 1e18}, "budgets.0", r"e\+25 tokens; a run may take fewer than 9.223e\+18"),
    ({"sizes": [{"n_layer": 2, "d_model": 10**12}]}, "sizes.0", r"a model may have 1e\+18 parameters; got 2.4e\+25"),
    ({"recipe": {"warmup_share": 0.5, "cooldown_share": 0.5}}, "recipe.cooldown_share", "add up to less than 1; got 0.5 and 0.5"),
    ({"tokens_per_param": [1e6, 1e7]}, "tokens_per_param", "leaves no point of the sweep; widen it"),
    ({"recipe": {"batch_tokens": 100}}, "recipe", "multiple of model.context; got 100 and 128"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "field", "message"), BAD, ids=[str(b[0])[:40] for b in BAD])
def test_a_plan_that_cannot_be_is_refused_with_field_and_remedy(change, field, message):
    with pytest.raises(InputError, match=message) as e:
        made(**change)
    assert e.value.field == field


def test_repeating_the_corpus_must_be_asked_for():
    with pytest.raises(InputError, match="raise max_epochs"):
        made(n_tokens=1_000_000)
    assert made(n_tokens=1_000_000, max_epochs=10).runs


def test_a_point_outside_the_range_is_left_out_only_when_asked_and_told():
    p = made(tokens_per_param=[10, 400])
    [note] = [note for note in p.notes if "N=9968" in note]
    said = r"left out: N=9968 with D=\S+ \(budgets\.1\), [\d.]+ tokens per parameter, outside \[10, 400\]"
    assert re.fullmatch(said, note)


def test_points_of_one_size_are_left_out_in_one_sentence():
    [note] = [note for note in made(tokens_per_param=[1, 20]).notes if "N=9968" in note]
    assert "(budgets.0, budgets.1), " in note


def test_a_trunk_has_the_batch_of_its_shortest_horizon():
    for share in (True, False):
        p = made(budgets=[1e11, 3e12], n_tokens=10**9, share_trunks=share)
        for run in p.runs:
            spec, first = run.spec, run.spec.horizons[0]
            assert spec.batch_tokens == batch_tokens_for(first, spec.model.context)
    assert p.runs[0].spec.batch_tokens < p.runs[1].spec.batch_tokens  # not shared: each its own


def test_but_no_less_than_a_quarter_of_the_longest_ones():
    """Or one sweep from 1e11 to 1e17 FLOP would take millions of tiny steps."""
    [run] = made(sizes=[1e4], budgets=[1e11, 1e15], n_tokens=10**11).runs
    longest = batch_tokens_for(run.spec.n_tokens, 128)
    assert run.spec.batch_tokens == longest // 128 // 4 * 128
    assert run.spec.batch_tokens > batch_tokens_for(run.spec.horizons[0], 128)


def test_a_large_batch_of_a_trunk_divides_among_eight_gpus():
    [run] = made(sizes=[1e4], budgets=[1e11, 3.3e16], n_tokens=10**13).runs
    assert run.spec.batch_tokens // 128 >= 64
    assert run.spec.batch_tokens // 128 % 8 == 0


def test_changes_of_the_recipe_reach_the_run():
    run = made(recipe={"lr": 0.5, "batch_tokens": 1024, "cooldown_share": 0.3}).runs[0].spec
    assert (run.optimizer.lr, run.batch_tokens, run.schedule.cooldown_share) == (0.5, 1024, 0.3)


def test_a_sweep_may_ask_for_masked_documents():
    assert made().runs[0].spec.data.documents == "packed"
    assert made(recipe={"documents": "masked"}).runs[0].spec.data.documents == "masked"
    with pytest.raises(InputError, match=r"data.documents must be 'packed' for family 'lstm'"):
        made(family="lstm", recipe={"documents": "masked"})


def test_a_sweep_may_ask_for_a_chain_which_costs_less():
    branched, chained = made(), made(recipe={"scheme": "wsd-s"})
    assert {run.spec.schedule.scheme for run in chained.runs} == {"wsd-s"}
    assert all(run.spec.n_tokens_processed == run.spec.n_tokens for run in chained.runs)
    assert chained.flops < branched.flops
