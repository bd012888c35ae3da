"""Several processes under torchrun give the run that one process gives, and resume each other's."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fitting.errors import InputError
from trainer import checkpoint
from trainer.compiling import can_compile
from trainer.job import run_job
from trainer.result import Result, read_lines
from trainer.world import World, check_world, join_world

ROOT = Path(__file__).parents[2]


# Saves every eight steps and dies where a crash is worst: all written, not yet renamed.
DIES = """
import json, os, signal, sys
from pathlib import Path
from trainer import checkpoint, job
from trainer.config import RunSpec

file, data, out = map(Path, sys.argv[1:])
saved = checkpoint._publish

def publish(part, path, manifest):
    if manifest["segment"] == 1 and manifest["step"] == 96:
        os.kill(os.getpid(), signal.SIGKILL)
    saved(part, path, manifest)

checkpoint._publish = publish
job.run_job(out, RunSpec.from_dict(json.loads(file.read_text())), data, checkpoint_every_s=0)
"""
SAVED = ["step-0000-000000080", "step-0001-000000088", "step-0001-000000096.part"]


def _start(n, spec, data, out, *what):
    """What torchrun did with n processes of the trainer, its options told, or of a program."""
    file = out.with_suffix(".json")
    file.write_text(json.dumps(spec.to_dict()))
    own = not what or str(what[0]).startswith("--")
    run = ["-m", "trainer", file, "--data", data, "--out", out, *what] if own else \
          [*what, file, data, out]  # fmt: skip
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               "--nproc-per-node", str(n), *map(str, run)]  # fmt: skip
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""}
    return subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=250
    )


def _torchrun(n, spec, data, out, *how):
    done = _start(n, spec, data, out, *how)
    assert done.returncode == 0, done.stderr[:3000]
    return Result.load(out)


def _are_one_run(folder, other):
    """Equal but for sums taken in another order."""
    a, b = Result.load(folder), Result.load(other)
    assert (a.status, b.status) == ("finished", "finished")
    for one, two in zip(a.measurements, b.measurements, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=2e-5)
    lines = [[(p["step"], p["loss"]) for p in read_lines(f)] for f in (folder, other)]
    np.testing.assert_allclose(*lines, rtol=2e-5)


# Its load balancing is a product of two means over the batch, which processes must share.
EXPERTS = {"model": {"family": "moe", "n_expert": 4, "top_k": 2}, "optimizer": {"lr": 0.002}}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, EXPERTS], ids=["transformer", "moe"])
def test_two_processes_are_one_run_and_resume_ones(tmp_path, make_spec, corpus_dir, changes):
    spec = make_spec(**changes)
    run_job(tmp_path / "alone", spec, corpus_dir)
    both = tmp_path / "both"
    polls = iter(range(10**9))
    run_job(both, spec, corpus_dir, should_stop=lambda: next(polls) >= 2)  # stopped when alone
    _torchrun(2, spec, corpus_dir, both)
    _are_one_run(tmp_path / "alone", both)


@pytest.mark.slow
def test_blocks_compiled_apart_are_the_run_within_float_noise(tmp_path, make_spec, corpus_dir):
    if not can_compile():
        pytest.skip("no C++ compiler, or a path with a space")
    # 12 blocks are one compilation, activations made again or not; a usual rate would grow noise.
    spec = make_spec(model={"n_layer": 12, "d_model": 16}, optimizer={"lr": 0.002})
    alone = run_job(tmp_path / "alone", spec, corpus_dir, compile="never")
    both = _torchrun(2, spec, corpus_dir, tmp_path / "both", "--compile", "always")
    again = _torchrun(2, spec, corpus_dir, tmp_path / "again", "--compile", "always",
                      "--recompute", "always")  # fmt: skip
    assert both.compiled
    assert (both.recompute, again.recompute) == (False, True)
    assert again.measurements == both.measurements  # bit for bit
    for a, b in zip(alone.measurements, both.measurements, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4)


@pytest.mark.slow
def test_two_killed_processes_are_resumed_by_one_and_by_two(tmp_path, make_spec, corpus_dir):
    # It dies within the first cooldown. At a usual rate noise would grow tenfold in 15 steps.
    spec = make_spec(horizons=(100 * 64, 140 * 64), optimizer={"lr": 0.002})
    one, two, alone, both = (tmp_path / n for n in ("one", "two", "alone", "both"))
    (tmp_path / "dies.py").write_text(DIES)
    died = _start(2, spec, corpus_dir, one, tmp_path / "dies.py")
    assert "Signal 9 (SIGKILL)" in died.stderr, died.stderr[:3000]
    assert [p.name for p in sorted((one / "checkpoints").iterdir())] == SAVED
    shutil.copytree(one, two)

    run_job(alone, spec, corpus_dir)
    run_job(one, spec, corpus_dir)
    _are_one_run(alone, one)

    _torchrun(2, spec, corpus_dir, both)
    _torchrun(2, spec, corpus_dir, two)
    _are_one_run(alone, both)
    assert Result.load(two).measurements == Result.load(both).measurements  # bit for bit


# The machine of the second process is to go away.
TOLD = """
import json, os, sys
from pathlib import Path
from trainer.config import RunSpec
from trainer.job import run_job

file, data, out = map(Path, sys.argv[1:])
told = os.environ["RANK"] == "1"
run_job(out, RunSpec.from_dict(json.loads(file.read_text())), data, should_stop=lambda: told)
"""


@pytest.mark.slow
def test_one_process_told_to_stop_stops_all_with_a_checkpoint(tmp_path, make_spec, corpus_dir):
    (tmp_path / "told.py").write_text(TOLD)
    done = _start(2, make_spec(), corpus_dir, tmp_path / "run", tmp_path / "told.py")
    assert done.returncode == 0, done.stderr[:3000]
    assert Result.load(tmp_path / "run").status == "stopped"
    assert [p.name for p in (tmp_path / "run/checkpoints").iterdir()] == ["step-0000-000000008"]


# One of the machines has less memory left than the other.
POORER = """
import json, os, sys
from pathlib import Path
from trainer import job
from trainer.config import RunSpec

file, data, out = map(Path, sys.argv[1:])
job.free_bytes = lambda _: 2e4 if os.environ["RANK"] == "0" else 1e4
job.run_job(out, RunSpec.from_dict(json.loads(file.read_text())), data)
"""


@pytest.mark.slow
def test_all_processes_plan_for_the_one_with_the_least_memory(tmp_path, make_spec, corpus_dir):
    (tmp_path / "poorer.py").write_text(POORER)
    spec = make_spec(batch_tokens=16 * 16, horizons=(10 * 16 * 16,))
    done = _start(2, spec, corpus_dir, tmp_path / "run", tmp_path / "poorer.py")
    assert done.returncode == 0, done.stderr[:3000]
    result = Result.load(tmp_path / "run")
    assert (result.status, result.recompute) == ("finished", True)
    assert result.n_parts == 8


def test_processes_share_a_batch_without_overlap():
    windows = np.arange(12).reshape(6, 2)
    parts = [World(rank=r, size=3).slice(windows) for r in range(3)]
    assert sorted(np.concatenate(parts)[:, 0].tolist()) == [0, 2, 4, 6, 8, 10]
    assert World().slice(windows) is windows


def test_alone_nothing_is_communicated():
    world, flags = World(), (True, False)
    assert world.agree(*flags) == flags
    assert world.mean(torch.tensor(2.0)).item() == 2.0
    assert world.first


def test_a_batch_that_does_not_divide_is_refused(make_spec):
    with pytest.raises(InputError, match="64 tokens are 4 windows") as refused:
        check_world(make_spec(), World(size=3))
    assert refused.value.field == "batch_tokens"


def test_a_checkpoint_of_one_process_holds_whole_tensors(tmp_path, make_spec, corpus_dir):
    spec = make_spec()
    run_job(tmp_path, spec, corpus_dir, should_stop=lambda: True)
    found = checkpoint.newest(
        tmp_path / "checkpoints",
        spec_hash=spec.fingerprint(),
        data_fingerprint=spec.data.fingerprint,
    )
    assert found is not None
    assert found.load({})["live.model.embed.weight"].shape == (256, 16)


def test_processes_that_find_different_checkpoints_are_refused(make_spec, monkeypatch):
    monkeypatch.setattr(World, "gather", lambda _self, found: [found, ""])
    with pytest.raises(
        InputError, match=r"\['step-1', ''\] \(put the run's folder on a disk"
    ) as no:
        check_world(make_spec(), World(size=2), resumed="step-1")
    assert no.value.field == "out"


@pytest.mark.parametrize("device", ["cuda:0", "cuda"])
def test_more_processes_than_gpus_are_refused(device, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    message = f"each of this machine's 1 GPUs; got '{device}' for process 1 "
    with pytest.raises(InputError, match=message), join_world(device):
        pass
