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


CHAIN = ScheduleSpec(warmup_share=0.1, cooldown_share=0.2, scheme="wsd-s")


def test_a_chain_goes_on_from_each_cooldown(make_spec):
    spec = make_spec(horizons=(1280, 2560, 5120), schedule=CHAIN)  # 20, 40 and 80 steps
    assert [(s.kind, s.first, s.last, s.warm_from) for s in segments(spec)] == [
        ("trunk", 0, 16, 0),
        ("cooldown", 16, 20, 0),
        ("trunk", 20, 32, 20),
        ("cooldown", 32, 40, 20),
        ("trunk", 40, 64, 40),
        ("cooldown", 64, 80, 40),
    ]


@given(
    doublings=st.integers(1, 6),
    first=st.integers(10, 300),
    warmup=st.floats(0.001, 0.5),
    cooldown=st.floats(0.01, 0.4),
)
def test_a_chain_trains_every_step_once_and_is_back_at_the_rate_before_it_cools(
    make_spec, doublings, first, warmup, cooldown
):
    schedule = ScheduleSpec(warmup_share=warmup, cooldown_share=cooldown, scheme="wsd-s")
    horizons = tuple(64 * first * 3**i for i in range(doublings))
    spec = make_spec(horizons=horizons, schedule=schedule)
    chain = segments(spec)
    steps = [step for s in chain for step in range(s.first, s.last)]
    assert steps == list(range(spec.n_tokens // 64))
    assert n_steps(spec) * 64 == spec.n_tokens_processed == spec.n_tokens
    cooldowns = [s for s in chain if s.cools]
    assert [s.last * 64 for s in cooldowns] == list(horizons)
    assert all(rate(spec, s, s.first) == 1.0 for s in cooldowns)
    assert all(0 < rate(spec, s, step) <= 1 for s in chain for step in range(s.first, s.last))


def test_a_chains_rate_falls_and_warms_up_again(make_spec):
    spec = make_spec(horizons=(1280, 2560), schedule=CHAIN)
    rates = [rate(spec, s, step) for s in segments(spec) for step in range(s.first, s.last)]
    assert rates[:4] == [0.5, 1.0, 1.0, 1.0]
    assert rates[16:20] == [1 - math.sqrt(i / 4) for i in range(4)]
    assert rates[20:23] == [0.5, 1.0, 1.0]
    assert rates[39] == 1 - math.sqrt(7 / 8)


def test_one_horizon_is_the_same_in_both_schemes(make_spec):
    branch, chain = (
        make_spec(horizons=(6400,), schedule=ScheduleSpec(scheme=scheme))
        for scheme in ("branch", "wsd-s")
    )
    rates = [
        [rate(spec, s, step) for s in segments(spec) for step in range(s.first, s.last)]
        for spec in (branch, chain)
    ]
    assert rates[0] == rates[1]


def test_what_five_doublings_cost_by_scheme(make_spec):
    """In tokens of the last horizon: 1.19 with branches, 1 in a chain, 1.94 in separate runs."""
    spec = make_spec(horizons=tuple(6400 * 2**i for i in range(5)))
    cost = {name: n / spec.n_tokens for name, n in spec.tokens_by_scheme().items()}
    assert cost == {"branch": 1.1875, "wsd-s": 1.0, "separate": 1.9375}
