"""Nothing in a step waits for the device: what a CUDA graph and a busy GPU need."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.data.corpus import Corpus
from trainer.execution import Execution
from trainer.session import open_session
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


def test_the_watch_sees_a_wait():
    with NoWaiting(), pytest.raises(AssertionError, match=r"_local_scalar_dense\.default waits"):
        torch.ones(()).item()
