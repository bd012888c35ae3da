import time
from dataclasses import replace

import pytest
import torch

from trainer import threads
from trainer.execution import Execution
from trainer.threads import step_seconds, using_threads, with_threads, worth

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


def test_a_probe_without_memory_leaves_the_answer_to_the_run(monkeypatch, make_spec):
    def full(*_):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(threads, "training_step", full)
    with using_threads(2):
        assert with_threads(make_spec(), CPU, resumed=None).n_threads == 1


def test_the_probe_takes_the_step_that_the_memory_allows(monkeypatch, make_spec):
    asked = []
    monkeypatch.setattr(threads, "training_step", lambda *a: asked.append(a) or (lambda: None))
    short = replace(CPU, recompute=True, n_parts=2, compiled=True)
    with using_threads(2):
        with_threads(make_spec(), short, resumed=None)
    assert asked[0][2] == replace(short, compiled=False)


def test_one_lucky_step_does_not_decide():
    naps = iter([0.0, 0.03, 0.001, 0.03, 0.03, 0.03])
    assert step_seconds(lambda: time.sleep(next(naps)), 1) >= 0.03


@pytest.mark.parametrize(
    ("seconds", "n_threads"),
    [
        ({1: 19.0, 2: 18.9}, 1),  # the demo's final model on two cores: nothing to gain
        ({1: 132.0, 2: 78.0}, 2),
        ({1: 20.4, 2: 15.9}, 1),  # the demo's final model: 1.28 times as fast for twice the money
        ({1: 100.0, 2: 55.0, 4: 30.0, 6: 27.0}, 4),
        ({1: 100.0, 2: 55.0, 4: 30.0, 6: 22.0}, 6),
        ({1: 100.0}, 1),
    ],
)
def test_more_threads_are_taken_while_they_pay(seconds, n_threads):
    assert worth(max(seconds), seconds.__getitem__) == n_threads
