"""Nothing in a step waits for the device: what a CUDA graph and a busy GPU need."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.data.corpus import Corpus
from trainer.execution import Execution
from trainer.session import open_session
from trainer.stack import Stack
from trainer.train import train

WAITS = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.is_nonzero")


class NoWaiting(TorchDispatchMode):
    """Fails on operators whose result the host must know before it can go on."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(str(func).startswith(name) for name in WAITS):
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "model", [{}, {"family": "gpt2", "mlp": "gelu"}, {"n_kv_head": 1, "window": 4}]
)
def test_a_step_never_waits_for_the_device(make_spec, corpus_dir, model, precision):
    spec = make_spec(model=model)
    corpus = Corpus(corpus_dir, spec.data, context=spec.model.context)
    steps = train(
        open_session(spec, corpus, Execution(device="cpu", precision=precision, compiled=False))
    )
    next(steps)
    with NoWaiting():
        for _ in range(3):
            next(steps)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_nor_does_the_step_of_a_stack(make_spec, corpus_dir, precision):
    how = Execution(device="cpu", precision=precision, compiled=False, n_stacked=2)
    specs = [make_spec(seed=s) for s in (1, 2)]
    corpus = Corpus(corpus_dir, specs[0].data, context=specs[0].model.context)
    sessions = [open_session(s, corpus, how) for s in specs]
    stack = Stack(sessions)
    runs = [train(s, stack.step_of(k)) for k, s in enumerate(sessions)]
    [next(r) for r in runs]
    with NoWaiting():
        for _ in range(3):
            [next(r) for r in runs]


def test_the_watch_sees_a_wait():
    with NoWaiting(), pytest.raises(AssertionError, match=r"_local_scalar_dense\.default waits"):
        torch.ones(()).item()
