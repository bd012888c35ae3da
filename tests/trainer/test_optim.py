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
    assert guard.cursor == GUARD_STEPS + 1


def test_early_steps_have_nothing_to_be_compared_with():
    guard = _warm(GUARD_STEPS - 1)
    assert guard.judge(torch.tensor(9.0), torch.tensor(1.0)) == 0


@pytest.mark.parametrize("norm", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_skipped_from_the_first_step(norm):
    guard = Guard("cpu")
    assert guard.judge(torch.tensor(3.0), torch.tensor(norm)) == 1
    assert guard.n_skipped == 1


def test_a_loss_that_is_no_number_is_not_remembered():
    guard = _warm()
    before = guard.recent.clone()
    for loss in (float("nan"), float("inf")):
        assert guard.judge(torch.tensor(loss), torch.tensor(float("nan"))) == 1
    assert torch.equal(guard.recent, before)


def test_one_spike_is_skipped_and_what_follows_is_not():
    guard = _warm()
    said = [guard.judge(torch.tensor(x), torch.tensor(1.0)).item() for x in (9.0, 3.01, 2.99)]
    assert said == [1, 0, 0]


@pytest.mark.parametrize("shift", [0.1, 0.2, 1.0])
def test_after_a_lasting_shift_a_few_steps_are_skipped_and_no_more(shift):
    """Another mixture of data in the end phase is no accident."""
    guard = _warm()
    for i in range(200):
        guard.judge(torch.tensor(3.0 + shift + 0.01 * (-1) ** i), torch.tensor(1.0))
    assert 1 <= guard.n_skipped <= 8


@pytest.mark.parametrize("n_steps", [1, 5, GUARD_STEPS, 500])
def test_the_mean_is_that_of_the_last_losses_that_were_numbers(n_steps):
    losses = [3.0 + 0.01 * i for i in range(300)]
    guard = Guard("cpu")
    for loss in losses:
        guard.judge(torch.tensor(loss), torch.tensor(1.0))
        guard.judge(torch.tensor(float("nan")), torch.tensor(1.0))
    last = losses[-min(n_steps, GUARD_STEPS) :]
    assert guard.mean(n_steps).item() == pytest.approx(sum(last) / len(last))
