import time
from dataclasses import replace

import torch

from trainer.execution import Execution
from trainer.threads import step_seconds, using_threads, with_threads

CPU = Execution(device="cpu", precision="fp32", compiled=False)


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with using_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_a_resumed_run_keeps_its_threads():
    before = {"execution": {"n_threads": 7}}
    assert with_threads(None, CPU, resumed=before) == replace(CPU, n_threads=7)


def test_one_thread_needs_no_probe():
    with using_threads(1):
        assert with_threads(None, CPU, resumed=None).n_threads == 1


def test_one_lucky_step_does_not_decide():
    naps = iter([0.0, 0.03, 0.001, 0.03, 0.03, 0.03])
    assert step_seconds(lambda: time.sleep(next(naps)), 1) >= 0.03
