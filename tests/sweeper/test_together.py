"""A final run by several processes of one machine: the same run, one lock, nobody left behind."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import sqlalchemy

from fitting.costs.architecture import Architecture
from store.models import Run
from store.states import RunKind
from sweeper import files
from sweeper.code import code_hash
from sweeper.executor import Job, Need, Status, Ticket
from sweeper.processes import ProcessExecutor
from sweeper.ray_cluster import largest_of
from sweeper.resources import impossible, need_of
from trainer.config import DataSpec, OptimizerSpec, RunSpec
from trainer.data.prepare import prepare
from trainer.job import run_job

TWO = Need(n_cpus=2, n_processes=2)
SPEC = {"batch_tokens": 512, "model": {"context": 64}}  # eight windows


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("text") / "corpus"
    return out, prepare(out, [Path(sqlalchemy.__file__).parent], max_bytes=2_000_000)


@pytest.fixture
def spec(data):
    def make(n_steps=60, **changes):
        model = Architecture(n_layer=2, d_model=16, n_head=2, vocab_size=256, context=64)
        return RunSpec(
            model=model, data=DataSpec(fingerprint=data[1].fingerprint), precision="fp32",
            optimizer=OptimizerSpec(lr=0.01), horizons=(n_steps * 512,), batch_tokens=512,
            eval_tokens=1024, seed=1, **changes,
        )  # fmt: skip

    return make


@pytest.fixture
def execute(tmp_path, data):
    """Start an attempt at a run on an executor of its own, as a dispatcher does."""
    executors = []

    def start(spec, attempt=1, need=TWO, device="cpu"):
        folder = tmp_path / "run"
        files.set_fence(folder, attempt)
        job = Job(
            name=f"run-1-a{attempt}", attempt=attempt, folder=str(folder), data_dir=str(data[0]),
            spec=spec.to_dict(), device=device, code_hash=code_hash(), need=need,
            checkpoint_every_s=0.2,
        )  # fmt: skip
        executor = ProcessExecutor(n_cpus=2)
        executors.append(executor)
        executor.start(executor.reserve(need), [job])
        return executor, Ticket(name=job.name, worker="", folder=folder)

    yield start
    for executor in executors:
        executor.reap(())


def ended(executor, ticket, attempt=1):
    while executor.poll([ticket])[ticket.name] is Status.RUNNING:
        time.sleep(0.05)
    return files.read_json(files.done_file(ticket.folder, attempt))


def trainers(folder):
    """Process ids of those that train in `folder`."""
    found = subprocess.run(
        ["pgrep", "-f", "--", f"-m trainer .*{folder}"], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in found.stdout.split()]


def until(true, limit_s=60.0):
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def checkpoints(folder):
    return sorted((folder / "checkpoints").glob("*[0-9]"))


def test_two_processes_give_the_run_of_one(execute, spec, data, tmp_path):
    done = ended(*execute(spec()))
    alone = run_job(tmp_path / "alone", spec(), data[0], device="cpu")
    assert (done["status"], done["n_processes"]) == ("finished", 2)
    loss = alone.measurements[-1]["loss"]
    assert done["measurements"][-1]["loss"] == pytest.approx(loss, abs=1e-5)


@pytest.mark.slow
def test_asked_to_stop_they_save_together_and_one_alone_goes_on(execute, spec):
    executor, ticket = execute(spec(n_steps=600))
    until(lambda: checkpoints(ticket.folder))
    executor.stop(ticket)
    assert ended(executor, ticket)["status"] == "stopped"
    assert not trainers(ticket.folder)
    step = int(checkpoints(ticket.folder)[-1].name.split("-")[-1])
    executor, ticket = execute(spec(n_steps=600), attempt=2, need=Need())
    done = ended(executor, ticket, 2)
    assert (done["status"], done["n_processes"]) == ("finished", 1)
    lines = (ticket.folder / "progress.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(set(steps)), f"a step twice after resuming at {step}"


def test_when_their_worker_is_killed_all_of_them_are_and_the_folder_is_free(execute, spec):
    executor, ticket = execute(spec(n_steps=3500))
    until(lambda: checkpoints(ticket.folder))
    assert len(trainers(ticket.folder)) == 2
    assert executor.kill(ticket)
    assert files.lock_holder(ticket.folder) is None
    until(lambda: not trainers(ticket.folder), 2)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_attempt_with_its_name(execute, spec):
    executor, ticket = execute(spec(n_steps=3500))
    until(lambda: checkpoints(ticket.folder))
    os.kill(trainers(ticket.folder)[0], signal.SIGKILL)
    done = ended(executor, ticket)
    assert done["status"] == "error"
    assert "of 2 was killed by SIGKILL" in done["reason"]
    assert not trainers(ticket.folder)


def test_what_the_trainer_refuses_is_told_in_its_words(execute, spec):
    done = ended(*execute(spec(), device="cuda"))
    assert (done["status"], done["permanent"]) == ("error", True)
    assert "device must be 'auto' or one of ['cpu']; got 'cuda'" in done["reason"]


def run(**columns):
    row = {"kind": RunKind.FINAL, "device": "auto", "n_cpus": 1_000_000, "spec": SPEC}
    return Run(**row | columns)


@pytest.mark.parametrize(
    ("columns", "there", "need"),
    [
        ({}, Need(n_cpus=16), Need(n_cpus=16)),
        ({}, Need(n_cpus=16, n_gpus=8), Need(n_cpus=16, n_gpus=8, n_processes=8)),
        ({}, Need(n_cpus=16, n_gpus=6), Need(n_cpus=16, n_gpus=4, n_processes=4)),  # of 8 windows
        ({}, Need(n_cpus=2, n_gpus=4), Need(n_cpus=2, n_gpus=4, n_processes=4)),
        ({"n_processes": 2}, Need(n_cpus=16, n_gpus=8), Need(n_cpus=16, n_gpus=2, n_processes=2)),
        ({"n_processes": 2}, Need(n_cpus=16), Need(n_cpus=16, n_processes=2)),
        ({"device": "cpu"}, Need(n_cpus=16, n_gpus=8), Need(n_cpus=16)),
        ({"kind": RunKind.SWEEP, "n_cpus": 1}, Need(n_cpus=16, n_gpus=8), Need(n_gpus=1)),
    ],
)
def test_what_a_run_occupies(columns, there, need):
    assert need_of(run(**columns), there) == need


def test_more_processes_than_the_largest_machine_has_can_never_start():
    why = impossible(run(n_processes=4), Need(n_cpus=8, n_gpus=2))
    assert why == (
        "n_processes is 4 and the largest machine has 2 GPUs; launch it with n_processes 2 or fewer"
    )
    assert impossible(run(n_processes=4), Need(n_cpus=8)) is None


def test_a_worker_gets_no_more_than_one_machine_has():
    head, nodes = {"CPU": 64.0}, [{"CPU": 32.0, "GPU": 8.0}] * 4
    assert largest_of([head, *nodes]) == Need(n_cpus=32, n_gpus=8)
    assert largest_of([]) == Need(n_cpus=0)
