"""The guard: a step far above what came before, or not a number, is left out; on the device."""

import pytest
import torch

from trainer.optim import GUARD_STEPS, Guard


def _warm(n=GUARD_STEPS):
    guard = Guard("cpu")
    for i in range(n):
        assert guard.judge(torch.tensor(3.0 + 0.01 * (-1) ** i), torch.tensor(1.0)) == 0
    return guard


@pytest.mark.parametrize(("loss", "skipped"), [(3.0, 0), (3.05, 0), (3.07, 1), (9.0, 1), (1.0, 0)])
def test_six_sigma_above_the_last_128_is_too_much(loss, skipped):
    guard = _warm()
    assert guard.judge(torch.tensor(loss), torch.tensor(1.0)) == skipped
    assert guard.n_skipped == skipped
    assert guard.cursor == GUARD_STEPS + 1 - skipped


def test_early_steps_have_nothing_to_be_compared_with():
    guard = _warm(GUARD_STEPS - 1)
    assert guard.judge(torch.tensor(9.0), torch.tensor(1.0)) == 0


@pytest.mark.parametrize("norm", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_skipped_from_the_first_step(norm):
    guard = Guard("cpu")
    assert guard.judge(torch.tensor(3.0), torch.tensor(norm)) == 1
    assert guard.recent.isnan().all()


def test_a_skipped_loss_is_not_remembered():
    guard = _warm()
    before = guard.recent.clone()
    guard.judge(torch.tensor(9.0), torch.tensor(1.0))
    assert torch.equal(guard.recent, before)
