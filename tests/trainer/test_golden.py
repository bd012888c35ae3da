"""Losses of 20 tiny steps, by heart: a change of numerics must be meant.

`python tests/trainer/test_golden.py` writes the file anew. It may change only together with a
line in reports/LOG.md that shows the losses before and after.
"""

import json
from pathlib import Path

import pytest
import torch

from fitting.costs.architecture import Architecture
from trainer.config import OptimizerSpec
from trainer.models.lm import build
from trainer.optim import make_optimizer, set_rate

FILE = Path(__file__).with_name("golden.json")
BASE = {"n_layer": 2, "d_model": 16, "n_head": 2, "vocab_size": 64, "context": 16}
CASES = {
    "transformer": {},
    "swiglu, grouped, tied": {"mlp": "swiglu", "n_kv_head": 1, "tied": True},
    "window": {"window": 4, "mlp": "gelu"},
    "lstm": {"family": "lstm", "n_head": 1},
    "moe": {"family": "moe", "n_expert": 4, "top_k": 2, "n_shared": 1},
    "gpt2": {"family": "gpt2", "mlp": "gelu"},
}


def losses(case: str) -> list[float]:
    """Twenty steps on counting sequences, warmed up over five."""
    arch = Architecture(**{**BASE, **CASES[case]})
    spec = OptimizerSpec(lr=0.01, z_loss=1e-4)
    model = build(arch, spec, seed=0)
    optimizer = make_optimizer(model, spec)
    out = []
    for step in range(20):
        start = torch.arange(8)[:, None] * 7 + step
        x = (start + torch.arange(17) * (1 + torch.arange(8) % 3)[:, None]) % 64
        objective, loss = model.losses(x)
        objective.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        set_rate(optimizer, min(1.0, (step + 1) / 5))
        optimizer.step()
        optimizer.zero_grad()
        out.append(loss.item())
    return out


@pytest.mark.parametrize("case", CASES)
def test_twenty_steps_have_the_losses_they_had(case):
    # Kernels differ between processors in the last bits, which twenty steps amplify.
    assert losses(case) == pytest.approx(json.loads(FILE.read_text())[case], rel=1e-3)


if __name__ == "__main__":
    torch.set_num_threads(1)
    FILE.write_text(json.dumps({case: losses(case) for case in CASES}, indent=1) + "\n")
