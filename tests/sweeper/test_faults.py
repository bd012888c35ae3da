"""kill -9 at the worst moments, on both databases. The oracle is the stub's own side log: nothing
finishes twice, and no more steps are repeated than lie between two checkpoints.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from store.control import Lease
from store.engine import reading, writing
from store.runs import attempts_of_run, list_runs
from store.states import RunState
from store.sweeps import get_sweep
from sweeper import files, verbs
from sweeper.faults import VARIABLE
from sweeper.leader import LEASE
from tests.sweeper import stub

ROOT = Path(__file__).parents[2]
ON_SQLITE = pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize(
    "empty_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


class Dispatcher:
    """Started, killed and started again."""

    def __init__(self, engine, settings, *words):
        self.engine, self.settings, self.words = engine, settings, words
        self.process = None

    def start(self, fault=""):
        command = [sys.executable, "-m", "tests.sweeper.dispatch"]
        url = self.engine.url.render_as_string(hide_password=False)
        self.process = subprocess.Popen(
            [*command, str(self.settings.home), url, *self.words],
            cwd=ROOT,
            env=os.environ | {VARIABLE: fault},
        )
        return self.process

    def kill(self):
        self.process.kill()
        self.process.wait()

    def wait_until_in_charge(self):
        """What dies from now on dies watched."""
        with reading(self.engine) as session:
            before = session.get_one(Lease, LEASE).epoch

        def beats():
            with reading(self.engine) as session:
                lease = session.get_one(Lease, LEASE)
                return lease.epoch > before and lease.n_beats > 1

        wait_for(beats, limit_s=120)

    def finish(self, sweep_id, limit_s=90):
        """Until the sweep is over; starts the dispatcher again whenever it died."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            with reading(self.engine) as session:
                if get_sweep(session, sweep_id).ended_at is not None:
                    return
            if self.process.poll() is not None:
                self.start()
            time.sleep(0.05)
        raise TimeoutError


@pytest.fixture
def dispatcher(engine, settings):
    made = Dispatcher(engine, settings)
    yield made
    if made.process is not None:
        made.kill()
    kill_workers(settings)


def kill_workers(settings):
    for folder in settings.runs.glob("*/"):
        pid = files.lock_holder(folder)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def wait_for(true, limit_s=30):
    until = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.02)


def check(engine, settings, sweep_id, *, n_failures=0):
    """Everything finished, nothing twice."""
    with reading(engine) as session:
        runs = list_runs(session, sweep_id=sweep_id)
        attempts = {run.id: len(attempts_of_run(session, run.id)) for run in runs}
    log = stub.side_log(settings.runs)
    done = Counter(run for word, run, _, _ in log if word == "DONE")
    assert {run.state for run in runs} == {RunState.FINISHED}
    assert sum(run.n_failures for run in runs) == n_failures
    assert done == dict.fromkeys((run.id for run in runs), 1)
    for run in runs:
        steps = [step for word, r, step, _ in log if (word, r) == ("STEP", run.id)]
        assert set(steps) == set(range(1, stub.N_STEPS + 1))
        repeated = len(steps) - len(set(steps))
        assert repeated <= stub.CHECKPOINT_EVERY * (attempts[run.id] - 1)


POINTS = ("before_claim", "after_claim:2", "after_start", "before_result", "after_result")


@pytest.mark.slow
def test_a_dispatcher_killed_at_the_worst_moments_loses_nothing_and_repeats_nothing(
    ask, dispatcher, engine, settings
):
    sweep_id = ask(seeds=[0, 1, 2])
    for point in POINTS:
        dispatcher.start(fault=point)
        assert dispatcher.process.wait(60) == -signal.SIGKILL, point
    dispatcher.finish(sweep_id)
    check(engine, settings, sweep_id)


@pytest.mark.slow
@ON_POSTGRES
def test_a_dispatcher_killed_again_and_again_finishes_all_the_same(
    ask, dispatcher, engine, settings
):
    sweep_id = ask(seeds=[0, 1, 2, stub.SLOW])
    rng = random.Random(0)
    for _ in range(4):
        dispatcher.start()
        time.sleep(rng.uniform(0.5, 2.0))
        dispatcher.kill()
    dispatcher.finish(sweep_id)
    check(engine, settings, sweep_id)


@ON_SQLITE
def test_running_runs_are_adopted_not_started_again(ask, dispatcher, engine, settings):
    sweep_id = ask(sizes=[1e4], seeds=[stub.SLOW])
    dispatcher.start()
    wait_for(lambda: len(stub.side_log(settings.runs)) > 2)
    dispatcher.kill()
    dispatcher.finish(sweep_id)
    assert [w for w, *_ in stub.side_log(settings.runs)].count("START") == 1
    check(engine, settings, sweep_id)


@ON_POSTGRES
def test_after_a_power_cut_runs_resume_and_nobody_is_blamed(ask, dispatcher, engine, settings):
    sweep_id = ask(seeds=[stub.SLOW])
    dispatcher.start()
    wait_for(lambda: len(stub.side_log(settings.runs)) > 16)
    dispatcher.kill()
    kill_workers(settings)
    dispatcher.finish(sweep_id)
    check(engine, settings, sweep_id, n_failures=0)
    with reading(engine) as session:
        assert all(run.n_preemptions == 1 for run in list_runs(session, sweep_id=sweep_id))


@ON_POSTGRES
def test_a_second_dispatcher_waits_and_takes_over(ask, dispatcher, engine, settings):
    other = Dispatcher(engine, settings)
    sweep_id = ask(seeds=[stub.SLOW, 0])
    dispatcher.start()
    wait_for(lambda: stub.side_log(settings.runs))
    other.start()
    wait_for(lambda: len(stub.side_log(settings.runs)) > 10)
    dispatcher.kill()
    other.finish(sweep_id)
    other.kill()
    check(engine, settings, sweep_id)


@ON_SQLITE
def test_sigterm_with_drain_checkpoints_and_charges_nobody(ask, engine, settings):
    dispatcher = Dispatcher(engine, settings, "drain")
    sweep_id = ask(seeds=[stub.SLOW])
    dispatcher.start()
    wait_for(lambda: len(stub.side_log(settings.runs)) > 4)
    dispatcher.process.terminate()
    assert dispatcher.process.wait(10) == 0
    with reading(engine) as session:
        runs = list_runs(session, sweep_id=sweep_id)
        assert {run.state for run in runs} == {RunState.QUEUED}
        assert {(run.n_failures, run.n_preemptions) for run in runs} == {(0, 0)}
    dispatcher.start()
    dispatcher.finish(sweep_id)
    dispatcher.kill()
    steps = Counter((r, s) for w, r, s, _ in stub.side_log(settings.runs) if w == "STEP")
    assert set(steps.values()) == {1}  # not one step twice


@pytest.mark.slow
@ON_SQLITE
def test_a_cancelled_run_never_comes_back(ask, dispatcher, engine, settings):
    """Cancelled while queued, while running, and just before its end."""
    one = {"sizes": [1e4]}
    sweeps = {}
    sweeps["queued"] = ask(**one, seeds=[7])
    with writing(engine) as session:
        verbs.cancel_sweep(session, sweeps["queued"])
    dispatcher.start()
    for moment, n_tokens, n_lines in (("running", 2e6, 4), ("finishing", 3e6, stub.N_STEPS)):
        sweeps[moment] = ask(**one, tokens=[n_tokens], seeds=[stub.SLOW])
        before = len(stub.side_log(settings.runs))
        wait_for(lambda n=before + n_lines: len(stub.side_log(settings.runs)) > n)
        with writing(engine) as session:
            verbs.cancel_sweep(session, sweeps[moment])
        wait_for(lambda i=sweeps[moment]: _state(engine, i) is not RunState.RUNNING)
    dispatcher.kill()
    dispatcher.start()
    time.sleep(1.0)
    assert {_state(engine, i) for i in sweeps.values()} == {RunState.CANCELLED}
    assert all(files.lock_holder(folder) is None for folder in settings.runs.glob("*/"))


def _state(engine, sweep_id):
    with reading(engine) as session:
        return list_runs(session, sweep_id=sweep_id)[0].state
