"""Real Ray, real trainer, real text: a miniature sweep with a kill of each kind in the middle."""

import contextlib
import os
import signal
import stat
from pathlib import Path

import pytest
import sqlalchemy

from fitting.errors import InputError
from store import measurements
from store.engine import reading, writing
from store.runs import attempts_of_run, list_runs
from store.states import RunState
from sweeper import files, ray_head
from sweeper.work import require_token
from tests.databases import on_sqlite  # noqa: F401  its database
from tests.sweeper.test_faults import Dispatcher, wait_for
from trainer.config import RunSpec
from trainer.data.prepare import prepare
from trainer.job import run_job

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TINY = {
    "name": "tiny",
    "sizes": [4e3, 8e3],
    "tokens": [2e5, 4e5],
    "seeds": [0, 1],
    "context": 64,
    "recipe": {"eval_tokens": 4096},
}


@pytest.fixture
def text(settings):
    """Documentation strings of a package that is always there, as the default corpus."""
    folder = settings.corpora / "default"
    prepare(folder, [Path(sqlalchemy.__file__).parent], max_bytes=2_000_000)
    return folder


@pytest.fixture
def dispatcher(engine, settings):
    made = Dispatcher(engine, settings, "ray", "real", "drain")
    yield made
    if made.process is not None:
        made.kill()
    ray_head.stop_head(settings.home)


def running(settings, holding="*"):
    """Process ids of those at work in a folder that holds such files."""
    folders = [f for f in settings.runs.glob("*/") if any(f.glob(holding))]
    return [pid for folder in folders if (pid := files.lock_holder(folder))]


def test_a_sweep_survives_a_killed_dispatcher_and_a_killed_worker(
    ask, dispatcher, text, monkeypatch
):
    engine, settings = dispatcher.engine, dispatcher.settings
    sweep_id = ask(**TINY)
    dispatcher.start()
    wait_for(lambda: len(running(settings)) == 2, limit_s=120)
    dispatcher.kill()
    dispatcher.start()
    dispatcher.wait_until_in_charge()
    wait_for(lambda: running(settings, "checkpoints/step-*"), limit_s=120)
    os.kill(running(settings, "checkpoints/step-*")[0], signal.SIGKILL)
    dispatcher.finish(sweep_id, limit_s=200)

    with reading(engine) as session:
        runs = list_runs(session, sweep_id=sweep_id)
        attempts = [a for run in runs for a in attempts_of_run(session, run.id)]
        points = measurements.of_sweep(session, sweep_id)
    assert {run.state for run in runs} == {RunState.FINISHED}
    assert len(points) == 8
    # One attempt each, and one more for the worker that was killed; the dispatcher's death cost none.
    assert len(attempts) == len(runs) + 1
    assert sum(run.n_failures + run.n_preemptions for run in runs) == 1
    assert len({a.worker for a in attempts}) <= 3  # two warm workers and one in place of the dead
    _killed_is_as_uninterrupted(runs, points, attempts, text, settings)
    _nobody_gets_in_without_our_token(settings.home, monkeypatch)
    dispatcher.process.terminate()
    assert dispatcher.process.wait(20) == 0
    _stopping_leaves_nothing(settings.home)


def test_processes_that_train_one_run_together_die_with_their_actor_and_go_on(
    ask, dispatcher, text
):
    recipe = TINY["recipe"] | {"batch_tokens": 512}
    sweep_id = ask(**TINY | {"sizes": [4e3], "tokens": [4e5], "seeds": [0], "recipe": recipe})
    with writing(dispatcher.engine) as session:
        (run,) = list_runs(session, sweep_id=sweep_id)
        run.n_cpus = run.n_processes = 2
    dispatcher.start()
    wait_for(lambda: running(dispatcher.settings, "checkpoints/step-*"), limit_s=120)
    os.kill(running(dispatcher.settings)[0], signal.SIGKILL)
    dispatcher.finish(sweep_id, limit_s=200)
    result = files.read_json(dispatcher.settings.runs / str(run.id) / "result.json")
    assert (result["status"], result["n_processes"]) == ("finished", 2)
    with reading(dispatcher.engine) as session:
        first, second = attempts_of_run(session, run.id)
        assert (first.n_devices, second.n_devices) == (2, 2)
        assert len(measurements.of_sweep(session, sweep_id)) == 1


def _killed_is_as_uninterrupted(runs, points, attempts, text, settings):
    """The run whose worker was killed gives the same losses, bit for bit, when trained alone."""
    (again,) = [a for a in attempts if a.number == 2]
    run = next(r for r in runs if r.id == again.run_id)
    result = run_job(settings.home / "alone", RunSpec.from_dict(run.spec), text)
    alone = [m["loss"] for m in result.measurements]
    assert alone == [p.loss for p in points if p.run_id == run.id]


def _nobody_gets_in_without_our_token(home, monkeypatch):
    head = ray_head.running_head(home)
    assert stat.S_IMODE((home / "ray-token").stat().st_mode) == 0o600
    token = (home / "ray-token").read_bytes()
    assert token not in b"".join(_commands(head.session_id))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    require_token(head.address)  # a stranger is turned away, so it may be used
    monkeypatch.delenv("RAY_AUTH_MODE")
    with pytest.raises(InputError, match=r"needs token authentication: set RAY_AUTH_MODE=token"):
        require_token(head.address)


def _stopping_leaves_nothing(home):
    head = ray_head.running_head(home)
    ray_head.stop_head(home)
    assert ray_head.running_head(home) is None
    assert not any(_commands(head.session_id))


def _commands(session_id):
    """Command lines of a session's processes; a zombie has none."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.getsid(int(folder.name)) == session_id:
                yield (folder / "cmdline").read_bytes()


def test_an_interpreter_under_a_path_with_a_space_is_quoted_for_ray():
    from sweeper.ray_worker import runtime_env

    env = {"OMP_NUM_THREADS": "1"}
    assert runtime_env(env, "/opt/venv/bin/python") == {"env_vars": env}
    assert runtime_env(env, "/my venv/bin/python")["py_executable"] == "'/my venv/bin/python'"
