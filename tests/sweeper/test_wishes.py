"""What people ask of runs that train: to pause, to go on, to be cancelled, to come back."""

import os
import signal

import pytest

from store.engine import reading, writing
from store.runs import attempts_of_run
from store.states import AttemptState, RunState
from store.sweeps import get_sweep
from sweeper import verbs
from sweeper.dispatcher import Pace
from sweeper.processes import ProcessExecutor
from tests.databases import on_sqlite  # noqa: F401  its database
from tests.sweeper import stub

ONE = {"sizes": [1e4]}


def test_pause_checkpoints_and_resume_goes_on(ask, service, settings, engine):
    sweep_id = ask(**ONE, seeds=[stub.SLOW])
    service.tick_until(lambda _: len(stub.side_log(settings.runs)) > 2)
    with writing(engine) as session:
        verbs.pause_sweep(session, sweep_id)
    service.tick_until(lambda _: service.runs(sweep_id)[0].state is RunState.QUEUED)
    with reading(engine) as session:
        attempt = attempts_of_run(session, service.runs(sweep_id)[0].id)[0]
        assert attempt.state is AttemptState.STOPPED
    n_steps = len(stub.side_log(settings.runs))
    for _ in range(5):
        service.dispatcher.tick()
    assert len(stub.side_log(settings.runs)) == n_steps  # nothing runs while paused
    with writing(engine) as session:
        verbs.resume_sweep(session, sweep_id)
    service.until(sweep_id, "finished")
    steps = [step for w, _, step, _ in stub.side_log(settings.runs) if w == "STEP"]
    assert steps == list(range(1, stub.N_STEPS + 1))  # none twice
    assert service.runs(sweep_id)[0].n_failures == 0


def test_a_lost_word_to_stop_is_said_again(ask, service, settings, engine, monkeypatch):
    stop, said = ProcessExecutor.stop, []

    def lose_the_first(executor, ticket):
        said.append(ticket.name)
        if len(said) > 1:
            stop(executor, ticket)

    monkeypatch.setattr(ProcessExecutor, "stop", lose_the_first)
    service.dispatcher.pace = Pace(ask_s=0.1)
    sweep_id = ask(**ONE, seeds=[stub.SLOW])
    service.tick_until(lambda _: len(stub.side_log(settings.runs)) > 2)
    with writing(engine) as session:
        verbs.pause_sweep(session, sweep_id)
    service.tick_until(lambda _: service.runs(sweep_id)[0].state is RunState.QUEUED)
    assert not any(word == "DONE" for word, *_ in stub.side_log(settings.runs))


def test_a_worker_asked_to_stop_before_it_can_listen_is_nobodys_failure(
    ask, service, engine, monkeypatch
):
    """SIGTERM ends a process that has not come as far as its handler."""

    def terminate(executor, ticket):
        executor._signal(ticket, signal.SIGKILL)

    monkeypatch.setattr(ProcessExecutor, "stop", terminate)
    sweep_id = ask(**ONE)
    service.tick_until(lambda _: service.runs(sweep_id)[0].state is RunState.RUNNING)
    with writing(engine) as session:
        verbs.pause_sweep(session, sweep_id)
    service.tick_until(lambda _: service.runs(sweep_id)[0].state is RunState.QUEUED)
    run = service.runs(sweep_id)[0]
    assert (run.n_failures, run.reason) == (0, "it was asked to stop and ended")


def test_cancel_kills_and_leaves_no_process(ask, service, settings, engine):
    sweep_id = ask(**ONE, seeds=[stub.SLOW])
    service.tick_until(lambda _: len(stub.side_log(settings.runs)) > 1)
    pid = stub.side_log(settings.runs)[-1][3]
    with writing(engine) as session:
        verbs.cancel_sweep(session, sweep_id)
    service.tick_until(lambda _: service.runs(sweep_id)[0].state is RunState.CANCELLED)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    for _ in range(5):
        service.dispatcher.tick()
    assert service.runs(sweep_id)[0].state is RunState.CANCELLED
    assert not any(word == "DONE" for word, *_ in stub.side_log(settings.runs))


def test_a_run_asked_for_again_while_it_is_killed_is_queued_again(
    ask, service, settings, engine, monkeypatch
):
    sweep_id = ask(**ONE, seeds=[stub.SLOW])
    service.tick_until(lambda _: len(stub.side_log(settings.runs)) > 1)
    with writing(engine) as session:
        verbs.cancel_sweep(session, sweep_id)
    kill, again = ProcessExecutor.kill, []

    def kill_slowly(executor, ticket):  # a request comes in meanwhile
        again.append(ask(**ONE, seeds=[stub.SLOW]))
        return kill(executor, ticket)

    with monkeypatch.context() as patch:
        patch.setattr(ProcessExecutor, "kill", kill_slowly)
        service.dispatcher.look()
    assert service.runs(sweep_id)[0].state is RunState.QUEUED
    service.until(again[0], "finished")
    with reading(engine) as session:
        first, second = attempts_of_run(session, service.runs(sweep_id)[0].id)
        assert (first.state, second.state) == (AttemptState.CANCELLED, AttemptState.FINISHED)
        assert get_sweep(session, sweep_id).state.value == "cancelled"
