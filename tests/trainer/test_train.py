"""Claims about the mathematics of training, checked on tiny models."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from fitting.costs.architecture import Architecture
from trainer.config import OptimizerSpec
from trainer.models.lm import build
from trainer.optim import make_optimizer

OPT = OptimizerSpec(lr=0.01)


def _arch(**changes) -> Architecture:
    base = {"n_layer": 2, "d_model": 32, "n_head": 4, "vocab_size": 50, "context": 16}
    return Architecture(**{**base, **changes})


FAMILIES = {
    "plain": _arch(),
    "gelu": _arch(mlp="gelu"),
    "swiglu": _arch(mlp="swiglu"),
    "grouped": _arch(n_kv_head=2),
    "tied": _arch(tied=True),
    "no qk-norm": _arch(qk_norm=False),
    "wide heads": _arch(d_head=16),
    "window": _arch(window=4),
}


def _windows(arch, n=4, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, arch.vocab_size, (n, arch.context + 1), generator=rng)


def _warm(arch, steps=3):
    """A model a few steps away from its zero-initialised outputs."""
    model = build(arch, OPT, seed=1)
    optimizer = make_optimizer(model, OPT)
    for step in range(steps):
        model.losses(_windows(arch, seed=step))[0].backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


@pytest.mark.parametrize("arch", FAMILIES.values(), ids=FAMILIES)
def test_counts_are_what_torch_allocates(arch):
    model = build(arch, OPT, seed=0)
    assert sum(p.numel() for p in model.parameters()) == arch.n_params_total
    matrices = [m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear)]
    assert sum(matrices) == arch.n_params


@pytest.mark.parametrize("arch", FAMILIES.values(), ids=FAMILIES)
def test_flops_are_what_torch_counts(arch):
    if arch.window:
        pytest.skip("a window saves work only in a kernel that knows of it")
    model, x = build(arch, OPT, seed=0), _windows(arch, n=2)
    with FlopCounterMode(display=False) as counter:
        model.losses(x)[0].backward()
    counted = counter.get_total_flops() / (2 * arch.context)
    assert counted == pytest.approx(arch.train_flops_per_token(), rel=1e-6)


@pytest.mark.parametrize("arch", FAMILIES.values(), ids=FAMILIES)
def test_no_token_sees_its_future(arch):
    model, x = _warm(arch), _windows(arch)[:, :-1]
    y = x.clone()
    y[:, 10:] = 0
    torch.testing.assert_close(model(x)[:, :10], model(y)[:, :10])
    assert not torch.allclose(model(x)[:, 10:], model(y)[:, 10:])


def test_a_window_forgets_what_lies_behind_it():
    arch = _arch(window=4, n_layer=1)
    model, x = _warm(arch), _windows(arch)[:, :-1]
    y = x.clone()
    y[:, :6] = 0
    torch.testing.assert_close(model(x)[:, 9:], model(y)[:, 9:])


@pytest.mark.parametrize("d_model", [16, 64, 256])
@pytest.mark.parametrize("n_layer", [1, 8])
def test_the_loss_at_step_0_is_near_log_v_at_every_size(d_model, n_layer):
    arch = _arch(d_model=d_model, n_layer=n_layer)
    loss = build(arch, OPT, seed=0).losses(_windows(arch))[1]
    assert loss.item() == pytest.approx(math.log(50), abs=0.5)  # logits of variance < 1


def test_grouped_queries_equal_full_attention_with_repeated_keys():
    grouped, full = _warm(_arch(n_kv_head=2)), _warm(_arch())
    state = full.state_dict()
    for name, tensor in grouped.state_dict().items():
        if not name.endswith("qkv.weight"):
            state[name] = tensor
            continue
        q, k, v = tensor.view(8, 8, 32).split([4, 2, 2])
        k, v = (x.repeat_interleave(2, dim=0) for x in (k, v))
        state[name] = torch.cat([q, k, v]).reshape(96, 32)
    full.load_state_dict(state)
    x = _windows(_arch())[:, :-1]
    torch.testing.assert_close(grouped(x), full(x))


def test_window_losses_average_to_the_loss():
    model, x = _warm(_arch()), _windows(_arch())
    torch.testing.assert_close(model.window_losses(x).mean(), model.losses(x)[1])


def test_z_loss_is_in_the_objective_and_not_in_the_loss():
    plain, z = (build(_arch(), OptimizerSpec(lr=0.01, z_loss=w), seed=0) for w in (0.0, 0.1))
    x = _windows(_arch())
    logits = plain(x[:, :-1])
    objective, loss = z.losses(x)
    assert loss.item() == plain.losses(x)[1].item()
    torch.testing.assert_close(objective, loss + 0.1 * logits.logsumexp(-1).square().mean())
