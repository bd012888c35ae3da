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
    "lstm": _arch(family="lstm", n_head=1),
    "gpt2": _arch(family="gpt2", mlp="gelu", qk_norm=False),
    "moe": _arch(family="moe", n_expert=4, top_k=2),
    "moe, shared": _arch(family="moe", n_expert=4, top_k=1, n_shared=1, mlp="swiglu", d_ff=24),
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
    lookups = ("embed.weight", "body.position.weight")
    matrices = [p.numel() for n, p in model.named_parameters() if p.ndim == 2 and n not in lookups]
    stored = arch.n_layer * arch.n_block + (0 if arch.tied else arch.n_head_params)
    assert sum(matrices) == stored


@pytest.mark.parametrize("arch", FAMILIES.values(), ids=FAMILIES)
def test_flops_are_what_torch_counts(arch):
    if arch.window or arch.family == "lstm":
        pytest.skip("torch does not count the fused LSTM, nor what a window could save")
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


def test_the_fused_lstm_is_the_recurrence_written_out():
    arch = _arch(family="lstm", n_head=1, n_layer=1)
    layer = _warm(arch).body.layers[0]
    x_BTD = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(0))
    h = cell = torch.zeros(3, 32)
    out = []
    for x in layer.norm(x_BTD).unbind(1):
        gates = x @ layer.w_input.T + h @ layer.w_recurrent.T + layer.bias
        i, f, g, o = gates.chunk(4, dim=-1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        h = o.sigmoid() * cell.tanh()
        out.append(h)
    torch.testing.assert_close(layer(x_BTD), torch.stack(out, dim=1))


def test_experts_are_balanced_by_their_loss():
    arch = _arch(family="moe", n_expert=4, top_k=2)
    objective, loss = build(arch, OPT, seed=0).losses(_windows(arch))
    assert (objective - loss).item() == pytest.approx(0.01, rel=0.3)  # 1 when even, times .01
