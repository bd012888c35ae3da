"""Several processes under torchrun give the run that one process gives, and resume each other's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fitting.errors import InputError
from trainer import checkpoint
from trainer.job import run_job
from trainer.result import Result, read_lines
from trainer.world import World, check_world

ROOT = Path(__file__).parents[2]


def _torchrun(n, spec, data, out):
    file = out.with_suffix(".json")
    file.write_text(json.dumps(spec.to_dict()))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               "--nproc-per-node", str(n), "-m", "trainer", str(file),
               "--data", str(data), "--out", str(out)]  # fmt: skip
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stderr[:3000]
    return Result.load(out)


@pytest.mark.slow
def test_two_processes_are_one_run_and_either_resumes_the_other(tmp_path, make_spec, corpus_dir):
    spec = make_spec()
    alone = run_job(tmp_path / "alone", spec, corpus_dir)
    both = tmp_path / "both"
    polls = iter(range(10**9))
    run_job(both, spec, corpus_dir, should_stop=lambda: next(polls) >= 2)  # stopped when alone
    result = _torchrun(2, spec, corpus_dir, both)
    assert result.status == "finished"
    for a, b in zip(alone.measurements, result.measurements, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=2e-5)  # sums in another order
    theirs = [(p["step"], p["loss"]) for p in read_lines(both)]
    ours = [(p["step"], p["loss"]) for p in read_lines(tmp_path / "alone")]
    np.testing.assert_allclose(theirs, ours, rtol=2e-5)


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


def test_checkpoints_hold_whole_tensors(tmp_path, make_spec, corpus_dir):
    spec = make_spec()
    run_job(tmp_path, spec, corpus_dir, should_stop=lambda: True)
    found = checkpoint.newest(
        tmp_path / "checkpoints",
        spec_hash=spec.fingerprint(),
        data_fingerprint=spec.data.fingerprint,
    )
    assert found is not None
    assert found.tensors["live.model.embed.weight"].shape == (256, 16)
