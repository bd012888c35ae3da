"""The dispatcher on local processes with a stub for a trainer, ticked by the test."""

import os
import signal
import time

import pytest

from store import curves, measurements
from store.engine import reading, writing
from store.models import Run
from store.runs import attempts_of_run
from store.states import RunState
from sweeper import attempts, files, ingest, verbs
from sweeper.executor import Job, Need, Status
from sweeper.processes import ProcessExecutor
from sweeper.worker import run_attempt
from tests.databases import on_sqlite  # noqa: F401  its database
from tests.sweeper import stub

ONE = {"sizes": [1e4]}


def words(settings, word):
    return [run for w, run, _, _ in stub.side_log(settings.runs) if w == word]


def everything_is(status, monkeypatch):
    def poll(_self, tickets):
        return {ticket.name: status for ticket in tickets}

    monkeypatch.setattr(ProcessExecutor, "poll", poll)


def test_a_sweep_runs_to_its_end(ask, service, settings, engine):
    sweep_id = ask(tokens=[1e6, 2e6])
    service.until(sweep_id, "finished")
    with reading(engine) as session:
        points = measurements.of_sweep(session, sweep_id)
        run = service.runs(sweep_id)[0]
        assert len(points) == 4
        assert run.n_tokens_done == run.n_tokens
        assert len(curves.of_run(session, run.id)) > 5
        assert attempts_of_run(session, run.id)[0].train_seconds == 0.5
    assert sorted(words(settings, "DONE")) == sorted(r.id for r in service.runs(sweep_id))


def test_a_measurement_carries_the_budget_it_was_asked_for(ask, service, engine):
    sweep_id = ask(tokens=[], budgets=[1e11, 3e11])
    service.until(sweep_id, "finished")
    with reading(engine) as session:
        asked = {m.budget_flops for m in measurements.of_sweep(session, sweep_id)}
    assert asked == {1e11, 3e11}


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (stub.DIVERGES, ("diverged", 1, "not finite")),
        (stub.CANNOT, ("failed", 1, "ValueError: this spec cannot be meant")),
        (stub.BREAKS, ("failed", 3, "RuntimeError: the disk broke")),
        (stub.OOM, ("failed", 3, "out of memory on cpu")),
        (stub.DIES, ("failed", 3, "its worker died")),
    ],
)
def test_what_goes_wrong_is_reported_as_such_and_the_sweep_goes_on(
    ask, service, monkeypatch, seed, expected
):
    monkeypatch.setattr(attempts, "BACKOFF_S", (0.0,))
    state, n_attempts, reason = expected
    sweep_id = ask(**ONE, seeds=[seed, 0])
    service.until(sweep_id, "finished")
    with reading(service.engine) as session:
        bad, good = service.runs(sweep_id)
        assert (bad.state.value, good.state.value) == (state, "finished")
        assert reason in bad.reason
        assert len(attempts_of_run(session, bad.id)) == n_attempts
        assert measurements.of_run(session, bad.id) == []


def test_a_retry_goes_on_from_the_checkpoint(ask, service, settings, monkeypatch):
    monkeypatch.setattr(attempts, "BACKOFF_S", (0.0,))
    sweep_id = ask(**ONE, seeds=[stub.DIES])
    service.until(sweep_id, "failed")
    starts = [step for w, _, step, _ in stub.side_log(settings.runs) if w == "START"]
    assert starts == [0, 5, 5]  # it dies at step 8; checkpoints are at 5, 10, …


def test_a_killed_worker_is_retried_and_no_step_is_lost(ask, service, settings, monkeypatch):
    monkeypatch.setattr(attempts, "BACKOFF_S", (0.0,))
    sweep_id = ask(**ONE, seeds=[stub.SLOW])
    service.tick_until(lambda _: len(stub.side_log(settings.runs)) > 7)
    os.kill(stub.side_log(settings.runs)[-1][3], signal.SIGKILL)
    service.until(sweep_id, "finished")
    steps = [step for w, _, step, _ in stub.side_log(settings.runs) if w == "STEP"]
    assert set(steps) == set(range(1, stub.N_STEPS + 1))
    assert len(steps) - len(set(steps)) <= stub.CHECKPOINT_EVERY
    assert len(words(settings, "DONE")) == 1
    assert service.runs(sweep_id)[0].n_failures == 1


def test_a_frozen_worker_cannot_write_after_its_run_went_on(ask, service, settings, monkeypatch):
    """SIGSTOP, requeue, SIGCONT: the zombie was killed before the run was queued again."""
    sweep_id = ask(**ONE, seeds=[stub.SLOW])
    service.tick_until(lambda _: len(stub.side_log(settings.runs)) > 2)
    zombie = stub.side_log(settings.runs)[-1][3]
    os.kill(zombie, signal.SIGSTOP)
    everything_is(Status.LOST, monkeypatch)
    service.tick_until(lambda _: service.runs(sweep_id)[0].n_preemptions == 1)
    with pytest.raises(ProcessLookupError):
        os.kill(zombie, signal.SIGCONT)
    assert service.runs(sweep_id)[0].n_failures == 0


def test_a_worker_that_comes_late_finds_the_fence(settings, tmp_path):
    files.set_fence(tmp_path, 2)
    job = Job(
        name="run-1-a1", attempt=1, folder=str(tmp_path), data_dir="", spec={}, device="cpu",
        code_hash="c", need=Need(),
    )  # fmt: skip
    run_attempt(job, should_stop=lambda: False, loaded_code="c")
    assert not files.done_file(tmp_path, 1).exists()


def test_unknown_is_not_dead(ask, service, settings, monkeypatch):
    sweep_id = ask(**ONE)
    service.tick_until(lambda _: len(stub.side_log(settings.runs)) > 1)
    with monkeypatch.context() as patch:
        everything_is(Status.UNKNOWN, patch)
        for _ in range(10):
            service.dispatcher.tick()
            time.sleep(0.02)
        assert service.runs(sweep_id)[0].state is RunState.RUNNING
    service.until(sweep_id, "finished")
    assert len(words(settings, "START")) == 1


def test_an_orphan_is_reaped(ask, service, settings, engine):
    sweep_id = ask(**ONE, seeds=[stub.SLOW])
    service.tick_until(lambda _: len(stub.side_log(settings.runs)) > 1)
    with writing(engine) as session:  # SQL is made to forget it
        attempt = attempts_of_run(session, service.runs(sweep_id)[0].id)[0]
        verbs.cancel_sweep(session, sweep_id)
        attempts.cancelled(session, attempt)
    service.dispatcher.reap()
    assert files.lock_holder(settings.runs / str(attempt.run_id)) is None
    assert service.executor.reserve(service.executor.slots()) is not None  # its room is free


def test_a_corrupt_end_is_not_a_success(ask, service, engine, settings):
    """A result without its measurements fails the attempt, whatever its status says."""
    sweep_id = ask(**ONE)
    run = service.runs(sweep_id)[0]
    folder = settings.runs / str(run.id)
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{torn")
    with writing(engine) as session:
        row = session.get_one(Run, run.id)
        attempt = attempts.claim(session, row, worker="nobody")
    assert ingest.ending(folder, attempt.number, run.spec_hash) is None
    with writing(engine) as session:
        ended = {"status": "finished", "measurements": []}
        found = session.get_one(type(attempt), attempt.id)
        ingest.conclude(session, session.get_one(Run, run.id), found, ended)
    assert "finished without measurements" in service.runs(sweep_id)[0].reason
    assert service.runs(sweep_id)[0].n_failures == 1


def test_a_result_that_is_not_finite_is_a_divergence(ask, service, engine):
    sweep_id = ask(**ONE)
    with writing(engine) as session:
        run = session.get_one(Run, service.runs(sweep_id)[0].id)
        attempt = attempts.claim(session, run, worker="nobody")
        point = {"n_params": 1, "n_tokens": run.n_tokens, "loss": float("nan"), "flops": 1.0}
        ingest.conclude(session, run, attempt, {"status": "finished", "measurements": [point]})
    assert service.runs(sweep_id)[0].state is RunState.DIVERGED
