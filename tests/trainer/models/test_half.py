import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.costs.architecture import Architecture
from trainer.config import OptimizerSpec
from trainer.models.half import half_attention
from trainer.models.lm import build


def inputs(n, t, width, seed, dtype=torch.float32):
    rng = torch.Generator().manual_seed(seed)
    qkv = [torch.randn(n, t, width, generator=rng).to(dtype) for _ in range(3)]
    mask = torch.zeros(t, t).masked_fill(torch.ones(t, t).tril() == 0, -math.inf)
    return [x.requires_grad_() for x in qkv], mask


def autograd(q, k, v, mask, scale):
    return ((q @ k.transpose(1, 2)) * scale + mask).softmax(-1) @ v


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 3),
    t=st.integers(1, 9),
    width=st.integers(1, 5),
    scale=st.floats(0.01, 3),
    seed=st.integers(0, 99),
)
def test_value_and_gradients_are_those_of_autograd(n, t, width, scale, seed):
    made = []
    for attention in (half_attention, autograd):
        (q, k, v), mask = inputs(n, t, width, seed)
        y = attention(q, k, v, mask, scale)
        (y * torch.arange(y.numel()).view_as(y).cos()).sum().backward()
        made.append([y, q.grad, k.grad, v.grad])
    for mine, theirs in zip(*made, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_two_positions_by_hand():
    """Equal scores: the second position sees the mean of both values."""
    q = torch.zeros(1, 2, 1, dtype=torch.bfloat16)
    v = torch.tensor([[[1.0], [3.0]]], dtype=torch.bfloat16)
    mask = torch.tensor([[0.0, -math.inf], [0.0, 0.0]])
    assert half_attention(q, q, v, mask, 1.0).flatten().tolist() == [1.0, 2.0]


def test_scores_beyond_the_range_of_exp_stay_finite():
    (q, k, v), mask = inputs(2, 8, 4, 0, torch.bfloat16)
    y = half_attention(q, k, v, mask, 1e4)
    y.float().sum().backward()
    assert y.isfinite().all()
    assert all(x.grad.isfinite().all() for x in (q, k, v))


@pytest.mark.parametrize("family", ["transformer", "gpt2"])
def test_a_step_in_bf16_has_the_loss_and_gradients_of_float32(family):
    arch = Architecture(
        family=family, n_layer=2, d_model=32, n_head=4, n_kv_head=2, vocab_size=64, context=16
    )
    x = torch.randint(64, (4, 17), generator=torch.Generator().manual_seed(0))
    losses, gradients = [], []
    for half in (False, True):
        model = build(arch, OptimizerSpec(lr=0.01), seed=0)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            objective, loss = model.losses(x)
        objective.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)  # bfloat16 has eight bits
    assert torch.cosine_similarity(*gradients, dim=0) > 0.999
