import json

import pytest
import torch
import transformers
from safetensors.torch import load_file

from fitting.costs.architecture import Architecture
from fitting.errors import InputError
from trainer.config import OptimizerSpec
from trainer.data.prepare import prepare
from trainer.data.tokenize import Bytes, load_tokenizer
from trainer.export import export, main
from trainer.hf_tokenizer import write_tokenizer
from trainer.job import run_job
from trainer.models.lm import build
from trainer.weights import load_model

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
        ({"family": "gpt2"}, r"has family 'gpt2' with mlp 'relu2' \(train with mlp 'gelu'"),
        (
            {"family": "gpt2", "mlp": "gelu", "n_head": 2, "n_kv_head": 1},
            "has family 'gpt2' with 1 of 2 heads for keys and",
        ),
        ({"mlp": "swiglu", "window": 4}, "has window 4"),
        ({"mlp": "swiglu", "tied": True}, "has a tied head whose logits are scaled"),
    ],
)
def test_a_model_without_a_published_class_is_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        export(_model(changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_writes_what_transformers_reads(tmp_path, make_spec, corpus_dir, capsys):
    run_job(tmp_path / "run", make_spec(model={"mlp": "swiglu"}), corpus_dir)
    args = [str(tmp_path / "run"), "--data", str(corpus_dir), "--out", str(tmp_path / "out")]
    assert main(args) == 0
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")("def f(x):").input_ids
    assert ids == list(b"def f(x):")
    ours, _ = load_model(tmp_path / "run")
    x = torch.tensor([ids])
    torch.testing.assert_close(theirs(x).logits, ours(x), atol=1e-4, rtol=1e-4)
    assert main([str(tmp_path), *args[1:]]) == 2
    assert "has not reached its last horizon" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_exported_tokenizers_give_the_ids_of_training(tmp_path, corpus_dir, kind):
    ours = Bytes()
    if kind == "bpe":
        prepare(tmp_path / "bpe", [corpus_dir.parent / "texts.jsonl"], tokenizer="bpe",
                vocab_size=300, val_share=0.2)  # fmt: skip
        ours = load_tokenizer(tmp_path / "bpe", "bpe")
    write_tokenizer(ours, tmp_path, context=16)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in (
        "def f(x):\n\treturn  x",
        " naïve 日本 🙂 Ā\r\n",
        "".join(map(chr, range(1, 256))),
    ):
        expected = ours.encode([text.encode()])[0][:-1].tolist()
        assert theirs(text).input_ids == expected
        assert theirs.decode(expected) == text
    assert theirs.eos_token_id == 0
