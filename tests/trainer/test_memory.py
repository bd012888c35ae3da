"""Activations made again change memory and time, and not a bit of the numbers."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch.autograd.graph import saved_tensors_hooks

from fitting.errors import InputError
from trainer import memory
from trainer.__main__ import main
from trainer.compiling import can_compile
from trainer.execution import Execution
from trainer.job import run_job
from trainer.memory import (
    activation_bytes,
    free_bytes,
    recompute_blocks,
    with_parts,
    with_recompute,
)
from trainer.models.lm import build
from trainer.result import Result, read_lines

ROOT = Path(__file__).parents[2]
FAMILIES = {
    "transformer": {},
    "swiglu, grouped": {"mlp": "swiglu", "n_kv_head": 1},
    "gpt2": {"family": "gpt2", "mlp": "gelu"},
    "moe": {"family": "moe", "n_expert": 3, "top_k": 2},
    "lstm": {"family": "lstm", "n_head": 1},
}
EAGER = Execution(device="cpu", precision="fp32", compiled=False)


def _kept_bytes(model, tokens):
    """Of all tensors that the backward pass will read, weights apart."""
    weights = {p.data_ptr() for p in model.parameters()}
    kept = {}

    def keep(t):
        kept[t.untyped_storage().data_ptr()] = t
        return t

    with saved_tensors_hooks(keep, lambda t: t):
        features, _ = model._features(tokens)
    del features
    return sum(t.untyped_storage().nbytes() for at, t in kept.items() if at not in weights)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("changes", FAMILIES.values(), ids=FAMILIES)
def test_recomputing_gives_the_same_run_bit_for_bit(
    tmp_path, make_spec, corpus_dir, changes, precision
):
    spec = make_spec(model=changes, precision=precision, horizons=(20 * 64,))
    kept = run_job(tmp_path / "kept", spec, corpus_dir, recompute="never")
    again = run_job(tmp_path / "again", spec, corpus_dir, recompute="always")
    assert (kept.recompute, again.recompute) == (False, True)
    assert again.measurements == kept.measurements
    ours, theirs = (
        [(p["loss"], p["grad_norm"]) for p in read_lines(tmp_path / name)]
        for name in ("kept", "again")
    )
    assert ours == theirs


@pytest.mark.parametrize("changes", FAMILIES.values(), ids=FAMILIES)
def test_blocks_keep_a_small_part_and_the_estimate_is_near(make_spec, changes):
    spec = make_spec(
        model={"n_layer": 3, "d_model": 64, "n_head": 4, "context": 64, **changes},
        batch_tokens=1024,
        horizons=(10240,),
    )
    model = build(spec.model, spec.optimizer, seed=0)
    tokens = torch.zeros(16, 64, dtype=torch.int64)
    kept = _kept_bytes(model, tokens)
    assert 0.5 < activation_bytes(spec, "cpu") / kept < 2
    recompute_blocks(model)
    assert _kept_bytes(model, tokens) < 0.15 * kept


def test_it_is_chosen_where_activations_would_not_fit(make_spec):
    spec = make_spec()
    assert not with_recompute(spec, EAGER, "auto", free=free_bytes("cpu")).recompute
    needed = activation_bytes(spec, "cpu")
    free = 1.9 * needed
    assert with_recompute(spec, EAGER, "auto", free=free).recompute
    assert not with_recompute(spec, EAGER, "auto", free=free, n_processes=2).recompute
    assert not with_recompute(spec, EAGER, "never", free=free).recompute


def test_free_memory_is_known_and_limited_by_the_container(monkeypatch):
    assert 1e6 < free_bytes("cpu") < 1e15
    monkeypatch.setattr(memory, "_limit", lambda: 5.0)
    assert free_bytes("cpu") == 5.0


def test_a_run_may_change_it_when_it_resumes(tmp_path, make_spec, corpus_dir):
    whole = run_job(tmp_path / "whole", make_spec(), corpus_dir)
    polls = iter(range(10**9))
    run_job(tmp_path / "parts", make_spec(), corpus_dir, should_stop=lambda: next(polls) > 2)
    parts = run_job(tmp_path / "parts", make_spec(), corpus_dir, recompute="always")
    assert parts.measurements == whole.measurements


@pytest.mark.parametrize("changes", [v for k, v in FAMILIES.items() if k != "moe"])
def test_a_batch_in_parts_is_the_same_batch(tmp_path, make_spec, corpus_dir, changes):
    calm = {"lr": 1e-3}  # so that float noise is not magnified
    spec = make_spec(model=changes, optimizer=calm, precision="fp32", horizons=(20 * 64,))
    whole, parts = (
        run_job(tmp_path / str(n), spec, corpus_dir, compile="never", parts=n) for n in (1, 4)
    )
    assert (whole.n_parts, parts.n_parts) == (1, 4)
    loss = whole.measurements[0]["loss"]
    assert parts.measurements[0]["loss"] == pytest.approx(loss, abs=1e-5)


def test_a_resumed_run_takes_its_parts_as_before_bit_for_bit(tmp_path, make_spec, corpus_dir):
    whole = run_job(tmp_path / "whole", make_spec(), corpus_dir, parts=2)
    polls = iter(range(10**9))
    stop = {"should_stop": lambda: next(polls) > 2}
    run_job(tmp_path / "cut", make_spec(), corpus_dir, parts=2, **stop)
    cut = run_job(tmp_path / "cut", make_spec(), corpus_dir)
    assert cut.n_parts == 2
    assert cut.measurements == whole.measurements


def test_parts_are_as_few_as_fit(make_spec):
    spec = make_spec(batch_tokens=12 * 16, horizons=(40 * 12 * 16,))
    short = replace(EAGER, recompute=True)
    needed = memory.KEPT * activation_bytes(spec, "cpu")
    assert with_parts(spec, EAGER, None, free=0.0).n_parts == 1  # nothing is recomputed yet
    for share, n_parts in ((1.01, 1), (0.4, 3), (0.21, 6), (0.001, 12)):
        free = share * needed / memory.MAX_SHARE
        assert with_parts(spec, short, None, free=free).n_parts == n_parts
    assert with_parts(spec, short, None, free=free, n_processes=3).n_parts == 4
    assert with_parts(spec, short, None, free=1e12, at_least=8).n_parts == 12


def test_parts_that_do_not_divide_are_refused_before_anything_is_written(
    tmp_path, make_spec, corpus_dir
):
    with pytest.raises(InputError) as refused:
        run_job(tmp_path / "out", make_spec(), corpus_dir, parts=3)
    assert str(refused.value) == (
        "parts must divide the 4 windows that each process has of a batch; got 3 (one of [1, 2, 4])"
    )
    assert refused.value.field == "parts"
    assert not (tmp_path / "out").exists()


def test_the_command_takes_it(tmp_path, make_spec, corpus_dir):
    spec = make_spec(horizons=(20 * 64,))
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec.to_dict()))
    args = ["--data", str(corpus_dir), "--out", str(tmp_path / "out"), "--recompute", "always"]
    assert main([str(tmp_path / "spec.yaml"), *args]) == 0
    assert json.loads((tmp_path / "out" / "result.json").read_text())["recompute"] is True
    assert Result.load(tmp_path / "out").final


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on importing inductor
def test_a_compiled_model_recomputes_too(make_spec):
    if not can_compile():
        pytest.skip("no C++ compiler")
    spec = make_spec()
    windows = torch.arange(4 * 17).view(4, 17) % 256
    grads = []
    for execution in (EAGER, replace(EAGER, recompute=True, compiled=True)):
        model = build(spec.model, spec.optimizer, seed=0)
        if execution.recompute:
            recompute_blocks(model)
        losses = torch.compile(model.losses, dynamic=False) if execution.compiled else model.losses
        losses(windows)[0].backward()
        grads.append({n: p.grad for n, p in model.named_parameters()})
    torch.testing.assert_close(grads[1], grads[0])


@pytest.mark.slow
def test_two_processes_recompute_their_shards(tmp_path, make_spec, corpus_dir):
    """Under FSDP2, which gathers a block's weights around the recomputation."""
    spec = make_spec(horizons=(20 * 64,))
    losses = []
    for wanted in ("never", "always"):
        file, out = tmp_path / "spec.json", tmp_path / wanted
        file.write_text(json.dumps(spec.to_dict()))
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
                   "--nproc-per-node", "2", "-m", "trainer", str(file), "--data", str(corpus_dir),
                   "--out", str(out), "--recompute", wanted]  # fmt: skip
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""}
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, timeout=250
        )
        assert done.returncode == 0, done.stderr[:3000]
        losses.append(Result.load(out).measurements[0]["loss"])
    assert losses[0] == losses[1]
