"""Chunk by chunk, the loss and its gradients are those of all logits at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from fitting.costs.architecture import Architecture
from trainer.compiling import can_compile
from trainer.config import OptimizerSpec
from trainer.job import run_job
from trainer.models import loss as module
from trainer.models.lm import build
from trainer.models.loss import n_chunks
from trainer.result import Result

ROOT = Path(__file__).parents[3]
SHAPE = {"n_layer": 1, "d_model": 16, "n_head": 2, "vocab_size": 50, "context": 16}


def _gradients(model, windows, *, autocast=False):
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        objective, loss = model.losses(windows)
    objective.backward()
    return objective, loss, {n: p.grad.clone() for n, p in model.named_parameters()}


def _windows(arch, n=3):
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, arch.vocab_size, (n, arch.context + 1), generator=rng)


@pytest.fixture
def chunks_of(monkeypatch):
    """At most so many logits at once on the processor."""
    return lambda n: monkeypatch.setitem(module.MAX_LOGITS, "cpu", n)


@pytest.mark.parametrize("limit", [1, 50 * 7, 50 * 16])
@pytest.mark.parametrize("z_loss", [0.0, 0.1])
@pytest.mark.parametrize(
    "changes",
    [{}, {"tied": True}, {"family": "moe", "n_expert": 3, "top_k": 2}, {"family": "gpt2"}],
    ids=str,
)
def test_chunks_change_neither_the_loss_nor_a_gradient(chunks_of, limit, z_loss, changes):
    arch = Architecture(**{**SHAPE, **changes})
    model = build(arch, OptimizerSpec(lr=0.01, z_loss=z_loss), seed=0)
    x = _windows(arch)
    objective, loss, grads = _gradients(model, x)
    windows = model.window_losses(x)
    chunks_of(limit)
    chunked = _gradients(model, x)
    torch.testing.assert_close(chunked[:2], (objective, loss))
    torch.testing.assert_close(chunked[2], grads)
    torch.testing.assert_close(model.window_losses(x), windows)


def test_in_bf16_the_gradients_agree_to_its_own_rounding(chunks_of):
    arch = Architecture(**SHAPE)
    model = build(arch, OptimizerSpec(lr=0.01, z_loss=1e-4), seed=0)
    _, loss, grads = _gradients(model, _windows(arch), autocast=True)
    chunks_of(50 * 7)
    _, chunked_loss, chunked = _gradients(model, _windows(arch), autocast=True)
    torch.testing.assert_close(chunked_loss, loss)
    for name, grad in grads.items():
        assert (chunked[name] - grad).norm() < 0.01 * grad.norm(), name


def test_the_flops_are_the_same(chunks_of):
    arch = Architecture(**SHAPE)
    model, x = build(arch, OptimizerSpec(lr=0.01), seed=0), _windows(arch)
    chunks_of(50 * 7)
    with FlopCounterMode(display=False) as counter:
        model.losses(x)[0].backward()
    counted = counter.get_total_flops() / (3 * arch.context)
    assert counted == pytest.approx(arch.train_flops_per_token(), rel=1e-6)


class _Largest(TorchDispatchMode):
    n_elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, tuple | list) else (out,):
            if isinstance(t, torch.Tensor):
                self.n_elements = max(self.n_elements, t.numel())
        return out


def test_fifty_thousand_words_never_meet_all_rows_at_once():
    """2,048 rows of 50,257 logits are 412 MB in float32; a chunk is 256 MiB at most."""
    arch = Architecture(**{**SHAPE, "vocab_size": 50_257, "context": 256, "d_model": 8})
    model = build(arch, OptimizerSpec(lr=0.01), seed=0)
    with _Largest() as largest:
        model.losses(_windows(arch, n=8))[0].backward()
    assert 8 * 256 * 50_257 > 1 << 26
    assert largest.n_elements <= 1 << 26


@given(n_rows=st.integers(1, 1 << 24), vocab_size=st.integers(2, 300_000))
def test_a_chunk_holds_no_more_than_the_limit(n_rows, vocab_size):
    n = n_chunks(n_rows, vocab_size, "cpu")
    rows = -(-n_rows // n)
    assert rows * vocab_size <= (1 << 26) + vocab_size
    assert n == 1 or n_rows * vocab_size > (n // 2) << 26  # and not much less


def test_bytes_are_never_chunked_below_a_quarter_million_tokens_a_step():
    assert n_chunks(1, 256, "cpu") == n_chunks(262_144, 256, "cpu") == 1
    assert n_chunks(262_145, 256, "cpu") == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on importing inductor
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # which dynamo hides, but not as an error
def test_a_compiled_model_chunks_too(chunks_of):
    if not can_compile():
        pytest.skip("no C++ compiler")
    arch = Architecture(**SHAPE)
    model = build(arch, OptimizerSpec(lr=0.01, z_loss=0.1), seed=0)
    chunks_of(50 * 8)
    _, loss, grads = _gradients(model, _windows(arch))
    model.losses = torch.compile(model.losses, dynamic=False)
    _, compiled_loss, compiled = _gradients(model, _windows(arch))
    torch.testing.assert_close(compiled_loss, loss)
    torch.testing.assert_close(compiled, grads)


@pytest.mark.slow
def test_two_processes_chunk_their_shards(tmp_path, make_spec, corpus_dir):
    """Under FSDP2 the head is whole where it multiplies, and its gradient is sharded again."""
    spec = make_spec(horizons=(20 * 64,), optimizer={"z_loss": 1e-4})
    alone = run_job(tmp_path / "alone", spec, corpus_dir)
    script, file, out = (tmp_path / name for name in ("main.py", "spec.json", "both"))
    file.write_text(json.dumps(spec.to_dict()))
    script.write_text(
        "import sys\nfrom trainer.models import loss\nfrom trainer.__main__ import main\n"
        "loss.MAX_LOGITS['cpu'] = 256 * 7\nsys.exit(main())\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
               "2", str(script), str(file), "--data", str(corpus_dir), "--out", str(out)]  # fmt: skip
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stderr[:3000]
    both = Result.load(out)
    assert both.measurements[0]["loss"] == pytest.approx(alone.measurements[0]["loss"], rel=2e-5)
