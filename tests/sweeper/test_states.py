"""The verbs and the counts, on both databases, without any executor."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import events
from store.engine import reading, writing
from store.errors import ConflictError, FencedError
from store.models import Attempt
from store.runs import attempts_of_run, get_run, list_runs
from store.states import ATTEMPT_LIVE, RUN_OVER, SWEEP_OVER, RunState, SweepState
from store.sweeps import get_sweep
from sweeper import attempts, verbs
from sweeper.queue import Wish, live, startable


def claim_next(session):
    waiting = startable(session)
    return attempts.claim(session, waiting[0], worker="w") if waiting else None


def states(session, sweep_id):
    return [run.state.value for run in list_runs(session, sweep_id=sweep_id)]


def test_a_run_is_claimed_once(engine, ask):
    ask()
    with writing(engine) as session:
        run = startable(session)[0]
        assert attempts.claim(session, run, worker="a").number == 1
        assert attempts.claim(session, run, worker="b") is None


def test_a_sweep_runs_when_a_run_does_and_finishes_with_the_last(engine, ask):
    sweep_id = ask()
    with writing(engine) as session:
        sweep = get_sweep(session, sweep_id)
        assert sweep.state is SweepState.QUEUED
        first, second = claim_next(session), claim_next(session)
        assert sweep.state is SweepState.RUNNING
        attempts.finish(session, first, RunState.FINISHED, reason=None)
        assert sweep.state is SweepState.RUNNING
        attempts.finish(session, second, RunState.DIVERGED, reason="nan")
        assert sweep.state is SweepState.FINISHED
        assert sweep.ended_at is not None
        told = [e.data["state"] for e in events.after(session, 0, sweep_id=sweep_id)]
        assert told == [
            "queued", "running", "running", "running", "finished", "diverged", "finished",
        ]  # fmt: skip


def test_a_sweep_without_any_finished_run_failed_and_says_so(engine, ask):
    sweep_id = ask()
    with writing(engine) as session:
        for _ in range(2):
            attempts.finish(session, claim_next(session), RunState.DIVERGED, reason="nan")
        sweep = get_sweep(session, sweep_id)
        assert (sweep.state, sweep.reason) == (SweepState.FAILED, "no run finished: 2 diverged")


def test_a_failure_is_tried_again_until_the_budget_is_spent(engine, ask):
    ask(sizes=[1e4])
    with writing(engine) as session:
        run = startable(session)[0]
        for number in (1, 2, 3):
            attempt = attempts.claim(session, run, worker="w")
            assert attempt.number == number
            attempts.fail(session, attempt, "its worker died")
        assert (run.state, run.n_failures, run.reason) == (RunState.FAILED, 3, "its worker died")


def test_a_retry_waits_a_little(engine, ask):
    ask(sizes=[1e4])
    with writing(engine) as session:
        attempts.fail(session, claim_next(session), "broke")
        assert startable(session) == []
        run = list_runs(session)[0]
        assert run.state is RunState.QUEUED
        assert run.not_before is not None


def test_a_failure_that_will_repeat_is_not_tried_again(engine, ask):
    ask(sizes=[1e4])
    with writing(engine) as session:
        attempts.fail(session, claim_next(session), "cannot be meant", permanent=True)
        assert list_runs(session)[0].state is RunState.FAILED


def test_a_lost_machine_does_not_charge_the_failure_budget(engine, ask):
    ask(sizes=[1e4])
    with writing(engine) as session:
        for _ in range(5):
            attempts.preempt(session, claim_next(session), "node lost")
        run = list_runs(session)[0]
        assert (run.n_failures, run.n_preemptions, run.state) == (0, 5, RunState.QUEUED)


def test_a_late_word_does_not_count(engine, ask):
    ask(sizes=[1e4])
    with writing(engine) as session:
        attempt = claim_next(session)
        attempts.preempt(session, attempt, "gone")
        with pytest.raises(FencedError, match="attempt 1 of run 1 is over already"):
            attempts.finish(session, attempt, RunState.FINISHED, reason=None)


def test_pause_lets_nothing_start_and_asks_the_running_to_wait(engine, ask):
    sweep_id = ask()
    with writing(engine) as session:
        attempt = claim_next(session)
        verbs.pause_sweep(session, sweep_id)
        assert startable(session) == []
        assert [wish for _, _, wish in live(session)] == [Wish.WAIT]
        attempts.put_back(session, attempt, "paused")
        assert states(session, sweep_id) == ["queued", "queued"]
        verbs.resume_sweep(session, sweep_id)
        assert len(startable(session)) == 2


def test_a_sweep_whose_last_run_ends_while_it_is_paused_is_finished(engine, ask):
    sweep_id = ask(sizes=[1e4])
    with writing(engine) as session:
        attempt = claim_next(session)
        verbs.pause_sweep(session, sweep_id)
        attempts.finish(session, attempt, RunState.FINISHED, reason=None)
        sweep = get_sweep(session, sweep_id)
        assert sweep.state is SweepState.FINISHED
        assert sweep.ended_at is not None


def test_stop_drops_what_has_not_begun_and_lets_the_rest_finish(engine, ask):
    sweep_id = ask()
    with writing(engine) as session:
        attempt = claim_next(session)
        sweep = verbs.stop_sweep(session, sweep_id)
        assert sweep.state is SweepState.STOPPING
        assert sorted(states(session, sweep_id)) == ["cancelled", "running"]
        assert [wish for _, _, wish in live(session)] == [Wish.GO_ON]
        attempts.preempt(session, attempt, "its machine went")  # it had begun, so it goes on
        attempts.finish(session, claim_next(session), RunState.FINISHED, reason=None)
        assert sweep.state is SweepState.FINISHED


def test_stop_before_anything_began_leaves_nothing(engine, ask):
    sweep_id = ask()
    with writing(engine) as session:
        assert verbs.stop_sweep(session, sweep_id).state is SweepState.CANCELLED


def test_cancel_is_final(engine, ask):
    sweep_id = ask()
    with writing(engine) as session:
        attempt = claim_next(session)
        verbs.cancel_sweep(session, sweep_id)
        assert [wish for _, _, wish in live(session)] == [Wish.DROP]
        attempts.cancelled(session, attempt)
        assert set(states(session, sweep_id)) == {"cancelled"}
        verbs.cancel_sweep(session, sweep_id)  # twice is once
        for verb in (verbs.pause_sweep, verbs.resume_sweep, verbs.stop_sweep, verbs.retry_sweep):
            with pytest.raises(ConflictError, match=f"sweep {sweep_id} is cancelled"):
                verb(session, sweep_id)


def test_retry_queues_only_what_failed(engine, ask):
    sweep_id = ask()
    with writing(engine) as session:
        attempts.fail(session, claim_next(session), "broke", permanent=True)
        attempts.finish(session, claim_next(session), RunState.FINISHED, reason=None)
        sweep = get_sweep(session, sweep_id)
        assert sweep.state is SweepState.FINISHED
        verbs.retry_sweep(session, sweep_id)
        assert sorted(states(session, sweep_id)) == ["finished", "queued"]
        assert sweep.state is SweepState.RUNNING
        assert list_runs(session, sweep_id=sweep_id)[0].n_failures == 0


def test_two_sweeps_share_a_run_and_one_may_go(engine, ask):
    one, two = ask(), ask(sizes=[1e4, 4e4])
    with writing(engine) as session:
        runs = list_runs(session)
        assert len(runs) == 3
        verbs.cancel_sweep(session, one)
        assert states(session, two) == ["queued", "queued"]
        assert sorted(states(session, one)) == ["cancelled", "queued"]


def test_another_seed_is_another_run(engine, ask):
    ask()
    ask(seeds=[1])
    with reading(engine) as session:
        assert len(list_runs(session)) == 4


def test_a_cancelled_run_asked_for_again_is_queued_again(engine, ask):
    one = ask(sizes=[1e4])
    with writing(engine) as session:
        verbs.cancel_sweep(session, one)
    two = ask(sizes=[1e4])
    with reading(engine) as session:
        assert states(session, two) == ["queued"]
        assert get_sweep(session, one).state is SweepState.CANCELLED


def test_a_sweep_of_finished_runs_is_finished_at_once(engine, ask):
    ask(sizes=[1e4])
    with writing(engine) as session:
        attempts.finish(session, claim_next(session), RunState.FINISHED, reason=None)
    again = ask(sizes=[1e4])
    with reading(engine) as session:
        assert get_sweep(session, again).state is SweepState.FINISHED


VERBS = ("claim", "finish", "fail", "preempt", "pause", "resume", "stop", "cancel", "retry")


@settings(max_examples=20)  # each is a database's work
@given(st.lists(st.sampled_from(VERBS), max_size=25))
def test_no_order_of_events_breaks_what_must_hold(engine, ask, verbs):
    """One live attempt per running run, none otherwise; what is over has no live attempt."""
    sweep_id = ask(name=f"{len(verbs)}", seeds=[abs(hash(tuple(verbs))) % 10**9])
    for verb in verbs:
        with writing(engine) as session:
            try:
                _act(session, verb, sweep_id)
            except ConflictError:
                continue
    with reading(engine) as session:
        for run in list_runs(session, sweep_id=sweep_id):
            alive = [a for a in attempts_of_run(session, run.id) if a.state in ATTEMPT_LIVE]
            assert len(alive) == (run.state is RunState.RUNNING)
            assert [a.number for a in attempts_of_run(session, run.id)] == list(
                range(1, len(attempts_of_run(session, run.id)) + 1)
            )
        sweep = get_sweep(session, sweep_id)
        if sweep.state in SWEEP_OVER and sweep.state is not SweepState.CANCELLED:
            assert all(r.state in RUN_OVER for r in list_runs(session, sweep_id=sweep_id))


def _act(session, verb, sweep_id):
    runs = list_runs(session, sweep_id=sweep_id)
    if verb == "claim":
        waiting = [r for r in startable(session, limit=1000) if r.id in {x.id for x in runs}]
        if waiting:
            attempts.claim(session, waiting[0], worker="w")
        return
    alive = [a for run in runs for a in attempts_of_run(session, run.id) if a.state in ATTEMPT_LIVE]
    if verb in ("pause", "resume", "stop", "cancel", "retry"):
        getattr(verbs, f"{verb}_sweep")(session, sweep_id)
    elif alive:
        attempt: Attempt = alive[0]
        if verb == "finish":
            attempts.finish(session, attempt, RunState.FINISHED, reason=None)
        else:
            getattr(attempts, verb)(session, attempt, "because")
    assert get_run(session, runs[0].id) is not None
