import math

from hypothesis import given
from hypothesis import strategies as st

from trainer.config import ScheduleSpec
from trainer.schedule import n_steps, rate, segments


def test_a_run_is_a_trunk_with_branches(make_spec):
    chain = segments(make_spec(horizons=(1280, 2560)))  # 20 and 40 steps, 20 % cooldown
    assert [(s.kind, s.first, s.last) for s in chain] == [
        ("trunk", 0, 16),
        ("branch", 16, 20),
        ("trunk", 16, 32),
        ("branch", 32, 40),
    ]
    assert n_steps(make_spec()) == 16 + 4 + 16 + 8


@given(
    steps=st.lists(st.integers(10, 500), min_size=1, max_size=5, unique=True),
    share=st.floats(0.01, 0.99),
)
def test_the_trunk_is_walked_once_and_every_branch_starts_on_it(make_spec, steps, share):
    spec = make_spec(
        horizons=tuple(sorted(n * 64 for n in steps)), schedule=ScheduleSpec(cooldown_share=share)
    )
    chain = segments(spec)
    trunk = [s for s in chain if s.kind == "trunk"]
    assert [s.first for s in trunk[1:]] == [s.last for s in trunk[:-1]]
    branches = [s for s in chain if s.kind == "branch"]
    assert [s.last * 64 for s in branches] == list(spec.horizons)
    assert all(0 <= s.first < s.last for s in chain)
    assert n_steps(spec) * 64 == spec.n_tokens_processed


def test_the_rate_warms_up_stays_and_cools_down(make_spec):
    spec = make_spec(horizons=(6400,), schedule=ScheduleSpec(warmup_share=0.1, cooldown_share=0.2))
    trunk, branch = segments(spec)
    assert [rate(spec, trunk, s) for s in (0, 4, 9, 10, 79)] == [0.1, 0.5, 1.0, 1.0, 1.0]
    assert rate(spec, branch, 80) == 1.0
    assert rate(spec, branch, 85) == 1 - math.sqrt(5 / 20)
    assert 0 < rate(spec, branch, 99) < 0.03


def test_a_linear_cooldown_is_linear(make_spec):
    linear = ScheduleSpec(warmup_share=0.01, cooldown_share=0.2, cooldown="linear")
    spec = make_spec(horizons=(6400,), schedule=linear)
    assert rate(spec, segments(spec)[1], 90) == 0.5
