"""A sweep that adds to an earlier one: its points count, its runs are left alone."""

import pytest

from fitting.errors import InputError
from store.engine import reading, writing
from store.measurements import add_to_run, of_sweep
from store.models import Run
from store.runs import list_runs
from store.states import RunState, SweepState
from store.sweeps import get_sweep, progress
from sweeper import attempts, verbs
from sweeper.queue import startable
from tests.sweeper.conftest import manifest


def answer(session, *, measured=True):
    """Train all that waits, without training."""
    for run in startable(session):
        attempt = attempts.claim(session, run, worker="w")
        if measured:
            point = {"n_params": run.n_params, "n_tokens": run.n_tokens, "flops": run.flops}
            add_to_run(session, run, point | {"loss": 2.0, "loss_unit": "nats/token"})
        attempts.finish(session, attempt, RunState.FINISHED, reason=None)


@pytest.fixture
def first(engine, ask):
    sweep_id = ask()
    with writing(engine) as session:
        answer(session)
    return sweep_id


def test_the_earlier_points_are_fitted_too_and_nothing_is_trained_again(engine, ask, first):
    second = ask(sizes=[4e4], extends=first)
    with writing(engine) as session:
        sweep = get_sweep(session, second)
        assert sweep.notes == [f"extends sweep {first}: the points of its 2 runs are fitted too"]
        assert sweep.price["n_runs"] == progress(session, second).n_runs == 1
        assert sweep.state is SweepState.QUEUED
        assert [run.n_params > 3e4 for run in startable(session)] == [True]
        answer(session)
        assert sweep.state is SweepState.FINISHED
        assert len(of_sweep(session, second)) == 3
        assert len(of_sweep(session, first)) == 2


def test_a_chain_has_all_points_once(engine, ask, first):
    second = ask(sizes=[4e4], extends=first)
    with writing(engine) as session:
        answer(session)
    third = ask(sizes=[2e4, 8e4], extends=second)  # one of them is the first sweep's
    with writing(engine) as session:
        answer(session)
        assert len(of_sweep(session, third)) == 4


def test_an_extension_whose_runs_all_fail_has_failed(engine, ask, first):
    second = ask(sizes=[4e4], extends=first)
    with writing(engine) as session:
        attempt = attempts.claim(session, startable(session)[0], worker="w")
        attempts.finish(session, attempt, RunState.DIVERGED, reason="nan")
        sweep = get_sweep(session, second)
        assert (sweep.state, sweep.reason) == (SweepState.FAILED, "no run finished: 1 diverged")


def test_retrying_and_cancelling_leave_what_it_extends(engine, ask, first):
    with writing(engine) as session:
        earlier = list_runs(session, sweep_id=first)
        earlier[0].state = RunState.FAILED  # after its first point
    second = ask(sizes=[4e4], extends=first)
    with writing(engine) as session:
        verbs.retry_sweep(session, second)
        verbs.cancel_sweep(session, second)
        states = [run.state.value for run in list_runs(session)]
        assert states == ["failed", "finished", "cancelled"]
        assert get_sweep(session, first).state is SweepState.FINISHED
        assert len(of_sweep(session, second)) == 2


def test_points_of_other_sources_are_told(engine, ask, first):
    with writing(engine) as session:
        for run in list_runs(session, sweep_id=first):
            run.code_hash = "an older one"
    second = ask(sizes=[4e4], extends=first)
    with reading(engine) as session:
        assert "the trainer's sources changed since" in get_sweep(session, second).notes[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extends": 99}, r"extends must name a sweep; there is no sweep 99 \(isoflop sweep list\)"),
        ({"context": 64}, r"context was 128 in sweep 1 and is 64 here \(ask with the same"),
        ({"recipe": {"lr": 0.1}}, r"recipe was {} in sweep 1 and is {'lr': 0\.1} here"),
        ({"family": "lstm"}, "family was 'transformer' in sweep 1 and is 'lstm' here"),
        ({"precision": "bf16"}, "precision was 'fp32' in sweep 1 and is 'bf16' here"),
        ({"sizes": [{"n_layer": 2, "d_model": 32, "tied": True}]}, "tied was False in sweep 1 and is True here"),
    ],
)  # fmt: skip
def test_points_of_another_rule_are_refused(engine, ask, first, change, message):
    with pytest.raises(InputError, match=message) as e:
        ask(**{"sizes": [4e4], "extends": first} | change)
    assert e.value.field == "extends"
    with reading(engine) as session:
        assert session.query(Run).count() == 2


@pytest.mark.parametrize("n", [0, 2**31, 1.5])
def test_what_is_no_id_is_no_sweep(ask, n):
    with pytest.raises(InputError, match="extends should be") as e:
        ask(extends=n)
    assert e.value.field == "extends"


def test_points_on_another_text_are_refused(settings, ask, first):
    folder = settings.corpora / "other"
    folder.mkdir()
    manifest(200_000_000).save(folder)
    with pytest.raises(InputError, match=r"needs points on one text; sweep 1 was .* \(name the corpus 'default'"):  # fmt: skip
        ask(sizes=[4e4], extends=first, data="other")


def test_a_sweep_that_goes_on_or_measured_nothing_cannot_be_extended(engine, ask):
    first = ask()
    with pytest.raises(InputError, match=r"sweep 1 is queued \(wait for it, or stop it\)"):
        ask(sizes=[4e4], extends=first)
    with writing(engine) as session:
        answer(session, measured=False)
    with pytest.raises(InputError, match="sweep with measurements; sweep 1 has none"):
        ask(sizes=[4e4], extends=first)
