import json

import pytest
import torch
import transformers
from safetensors.torch import load_file

from fitting.costs.architecture import Architecture
from fitting.errors import InputError
from trainer.config import OptimizerSpec
from trainer.export import export
from trainer.models.lm import build

BASE = {"n_layer": 3, "d_model": 32, "n_head": 4, "vocab_size": 50, "context": 16}
CASES = {
    "qwen3": {"mlp": "swiglu", "d_ff": 48, "n_kv_head": 2},
    "llama": {"mlp": "swiglu", "d_ff": 48, "qk_norm": False},
    "gpt2": {"family": "gpt2", "mlp": "gelu"},
}


def _model(changes):
    """Random everywhere, so that no forgotten weight hides behind its initial value."""
    model = build(Architecture(**{**BASE, **changes}), OptimizerSpec(lr=0.01), seed=0)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=rng) * p.std() + 0.01)
    return model


@pytest.mark.parametrize("case", CASES)
def test_transformers_gives_the_same_logits(tmp_path, case):
    model = _model(CASES[case])
    export(model, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    x = torch.randint(0, 50, (2, 16), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(theirs(x).logits, model(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_every_weight_is_written_once(tmp_path, case):
    model = _model(CASES[case])
    export(model, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    assert sum(t.numel() for t in tensors.values()) == model.arch.n_params_total
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"][0].lower().startswith(case)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "no published Hugging Face class has mlp 'relu2'"),
        ({"family": "lstm", "n_head": 1}, "has family 'lstm'"),
        ({"mlp": "swiglu", "window": 4}, "has window 4"),
        ({"mlp": "swiglu", "tied": True}, "has a tied head whose logits are scaled"),
    ],
)
def test_a_model_without_a_published_class_is_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        export(_model(changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()
