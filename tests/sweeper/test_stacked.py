"""Attempts that train together in one worker are single attempts to everybody else."""

import os
import signal

import pytest

from store import measurements
from store.engine import reading, writing
from store.models import Run
from store.runs import attempts_of_run, list_runs
from store.states import AttemptState, RunState
from sweeper import attempts, files, ingest
from sweeper.code import code_hash
from sweeper.executor import Job, Need
from sweeper.queue import startable
from sweeper.resources import stack_of
from sweeper.stacked import run_stack
from sweeper.verbs import cancel_sweep
from tests.databases import on_sqlite  # noqa: F401  its database
from tests.sweeper.test_faults import wait_for
from tests.sweeper.test_ray import TINY, dispatcher, running, text  # noqa: F401  fixtures
from tests.sweeper.test_together import data, spec  # noqa: F401  fixtures
from trainer.config import RunSpec
from trainer.job import run_job
from trainer.jobs import Order, run_jobs

ALIKE = {"sizes": [1e4], "seeds": [0, 1, 2, 3], "stack": True}


# -- which runs -------------------------------------------------------------------------------


def stacked(engine, n_workers=1, **changes):
    with writing(engine) as session:
        waiting = startable(session)
        for name, value in changes.items():
            setattr(waiting[1], name, value)
        found = stack_of(waiting, on_gpu=False, n_workers=n_workers)
        return [waiting.index(run) for run in found]


def test_runs_that_differ_in_seed_alone_go_together(ask, engine):
    ask(**ALIKE)
    assert stacked(engine) == [0, 1, 2, 3]


def test_no_worker_is_left_idle_by_it(ask, engine):
    ask(**ALIKE)
    assert stacked(engine, n_workers=2) == [0, 1]
    assert stacked(engine, n_workers=4) == [0]


def test_only_where_it_was_asked_for(ask, engine):
    ask(**ALIKE | {"stack": False})
    assert stacked(engine) == [0]


def test_other_shapes_other_corpora_and_what_failed_before_stay_apart(ask, engine):
    ask(**ALIKE | {"sizes": [1e4, 2e4], "seeds": [0, 1]})
    assert stacked(engine) == [0, 1]  # the longer two
    assert stacked(engine, corpus="another") == [0]
    assert stacked(engine, corpus="default", n_failures=1) == [0]


def test_large_models_and_recurrent_ones_train_alone(ask, engine):
    ask(**ALIKE | {"sizes": [3e5]})
    assert stacked(engine) == [0]
    ask(**ALIKE | {"name": "recurrent", "family": "lstm"})
    with reading(engine) as session:
        recurrent = [r for r in startable(session) if r.spec["model"]["family"] == "lstm"]
        assert len(stack_of(recurrent, on_gpu=False, n_workers=1)) == 1


# -- what it costs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "ended", "used"),
    [
        (0.25, {"device": "cpu", "n_threads": 1, "n_stacked": 4}, 0.25),
        (0.25, {"device": "cpu", "n_threads": 1, "n_stacked": 1}, 1.0),  # it went on alone
        (0.125, {"device": "cuda", "n_stacked": 8}, 0.125),
        (4, {"device": "cpu", "n_threads": 2}, 2),
        (8, {"device": "cuda", "n_processes": 8}, 8),
    ],
)
def test_a_stacked_attempt_is_charged_its_share(ask, engine, held, ended, used):
    ask(tokens=[1e6])
    with writing(engine) as session:
        run = startable(session)[0]
        attempt = attempts.claim(session, run, worker="w", n_devices=held)
        point = {"n_params": 1, "n_tokens": run.n_tokens, "loss": 2.0, "flops": 1.0}
        said = {"status": "finished", "measurements": [point], "train_seconds": 5.0, **ended}
        ingest.conclude(session, run, attempt, said)
        assert attempt.n_devices == used


# -- in the worker ----------------------------------------------------------------------------


@pytest.fixture
def jobs(tmp_path, data, spec):  # noqa: F811
    def make(n, **changes):
        made = []
        for i in range(n):
            job = Job(
                name=f"run-{i}-a1",
                attempt=1,
                folder=str(tmp_path / f"run{i}"),
                data_dir=str(data[0]),
                spec=spec().to_dict() | {"seed": i},
                device="cpu",
                need=Need(),
                **{"code_hash": code_hash()} | changes,
            )
            files.set_fence(_folder(job), 1)
            made.append(job)
        return made

    return make


def run_all(given, stop=()):
    """The ends, by job; None where nothing was said. And who was over in which order."""
    over = []
    stops = {job.name: (lambda n=job.name: n in stop) for job in given}
    run_stack(given, should_stop=stops, loaded_code=code_hash(), over=over.append)
    ends = [files.read_json(files.done_file(_folder(job), 1)) for job in given]
    assert [files.lock_holder(_folder(job)) for job in given] == [None] * len(given)
    return ends, over


def _folder(job):
    return files.Path(job.folder)


def test_each_ends_as_if_alone(tmp_path, jobs, data):  # noqa: F811
    given = jobs(3)
    ends, over = run_all(given)
    assert [(e["status"], e["n_stacked"], e["attempt"]) for e in ends] == [("finished", 3, 1)] * 3
    assert sorted(over) == [job.name for job in given]
    for job, end in zip(given, ends, strict=True):
        alone = run_job(tmp_path / "alone" / job.name, RunSpec.from_dict(job.spec), data[0])
        losses = [m["loss"] for m in alone.measurements]
        assert [m["loss"] for m in end["measurements"]] == pytest.approx(losses, rel=1e-4)


def test_one_that_is_told_to_stop_is_over_first(jobs):
    given = jobs(3)
    ends, over = run_all(given, stop=["run-1-a1"])
    assert [e["status"] for e in ends] == ["finished", "stopped", "finished"]
    assert over[0] == "run-1-a1"


def test_one_whose_turn_it_is_not_is_left_out(jobs):
    given = jobs(3)
    files.set_fence(_folder(given[1]), 2)
    ends, over = run_all(given)
    assert [e and e["n_stacked"] for e in ends] == [2, None, 2]
    assert over[0] == "run-1-a1"


def test_one_that_somebody_trains_is_left_out(jobs, monkeypatch):
    given = jobs(2)
    monkeypatch.setattr(files.holding_lock, "__kwdefaults__", {"wait_s": 0.1}, raising=False)
    monkeypatch.setattr(files.holding_lock.__wrapped__, "__kwdefaults__", {"wait_s": 0.1})
    with files.holding_lock(_folder(given[0])):
        over = []
        stops = {job.name: (lambda: False) for job in given}
        run_stack(given, should_stop=stops, loaded_code=code_hash(), over=over.append)
    first, second = (files.read_json(files.done_file(_folder(job), 1)) for job in given)
    assert first["reason"] == "another process trains this run"
    assert second["status"] == "finished"


def test_other_code_is_not_trained(jobs):
    ends, _ = run_all(jobs(2, code_hash="other"))
    assert [e["status"] for e in ends] == ["stale", "stale"]


def test_what_cannot_be_meant_is_the_end_of_each(jobs):
    given = jobs(2)
    given[1].spec["horizons"] = [120 * 512]
    ends, _ = run_all(given)
    assert [(e["status"], e["permanent"]) for e in ends] == [("error", True)] * 2
    assert "these differ in horizons" in ends[0]["reason"]


# -- on Ray -----------------------------------------------------------------------------------


MANY = TINY | {"sizes": [4e3], "tokens": [4e5], "seeds": [0, 1, 2, 3], "stack": True}


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_of_stacks_survives_the_kill_of_a_worker(ask, dispatcher, text):  # noqa: F811
    engine, settings = dispatcher.engine, dispatcher.settings
    sweep_id = ask(**MANY | {"tokens": [8e5]})  # long enough for a dispatcher to start again
    dispatcher.start()
    wait_for(lambda: len(running(settings, "checkpoints/step-*")) == 4, limit_s=120)
    victims = running(settings)
    assert len(set(victims)) == 2  # two workers, two runs in each
    dispatcher.kill()
    dispatcher.start()
    dispatcher.wait_until_in_charge()
    os.kill(victims[0], signal.SIGKILL)
    dispatcher.finish(sweep_id, limit_s=200)
    with reading(engine) as session:
        runs = list_runs(session, sweep_id=sweep_id)
        made = {run.id: attempts_of_run(session, run.id) for run in runs}
        points = measurements.of_sweep(session, sweep_id)
    assert {run.state for run in runs} == {RunState.FINISHED}
    assert sorted(len(a) for a in made.values()) == [1, 1, 2, 2]
    assert {a.n_devices for made_of in made.values() for a in made_of} == {0.5}
    killed = [run for run in runs if len(made[run.id]) == 2]
    losses = [[p.loss for p in points if p.run_id == run.id] for run in killed]
    orders = [
        Order(folder=settings.home / f"again{run.id}", spec=RunSpec.from_dict(run.spec))
        for run in killed
    ]
    uninterrupted = run_jobs(orders, text, device="cpu")
    assert losses == [[m["loss"] for m in r.measurements] for r in uninterrupted]  # bit for bit


@pytest.mark.ray
@pytest.mark.slow
def test_a_cancelled_run_leaves_its_stack(ask, dispatcher, text):  # noqa: F811
    engine, settings = dispatcher.engine, dispatcher.settings
    keep = ask(**MANY | {"seeds": [0, 1, 2]})
    drop = ask(**MANY | {"seeds": [3]})
    dispatcher.start()
    wait_for(lambda: len(running(settings, "checkpoints/step-*")) == 4, limit_s=120)
    with reading(engine) as session:
        (gone,) = list_runs(session, sweep_id=drop)
        workers = [attempts_of_run(session, run.id)[0].worker for run in session.query(Run)]
    assert sorted(workers.count(w) for w in set(workers)) == [2, 2]
    with writing(engine) as session:
        cancel_sweep(session, drop)
    dispatcher.finish(keep, limit_s=200)
    with reading(engine) as session:
        for run in list_runs(session, sweep_id=keep):
            (attempt,) = attempts_of_run(session, run.id)
            assert (run.state, attempt.state) == (RunState.FINISHED, AttemptState.FINISHED)
        (attempt,) = attempts_of_run(session, gone.id)
        assert attempt.state is AttemptState.CANCELLED
