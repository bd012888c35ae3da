"""A trained model as a Hugging Face checkpoint: `config.json`, `model.safetensors`, tokenizer.

    python -m trainer.export RUN --data DIR --out FOLDER

What CompleteP multiplies (branches, logits, attention) is folded into the weights, so the published
classes give the same logits: transformer with SwiGLU as Qwen3 (with QK-norm) or Llama (without),
GPT-2 as GPT2LMHeadModel. Squared ReLU, windows, LSTM and mixtures have no such class.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from fitting.costs.architecture import Architecture
from fitting.errors import InputError
from trainer.hf_tokenizer import write_tokenizer
from trainer.models.lm import LM
from trainer.weights import open_run

Tensors = dict[str, Tensor]


@torch.no_grad()
def export(model: LM, folder: Path) -> None:
    """Write `folder` for `transformers.AutoModelForCausalLM.from_pretrained`.

    Raises:
        InputError: the family or shape has no published class.
    """
    arch = model.arch
    _check(arch, model)
    tensors = _gpt2(model) if arch.family == "gpt2" else _llama(model)
    config = _gpt2_config(arch) if arch.family == "gpt2" else _llama_config(arch)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    contiguous = {n: t.detach().cpu().float().contiguous().clone() for n, t in tensors.items()}
    save_file(contiguous, folder / "model.safetensors", metadata={"format": "pt"})


def _check(arch: Architecture, model: LM) -> None:
    reason = ""
    if arch.family not in ("transformer", "gpt2"):
        reason = f"family {arch.family!r}"
    elif arch.family == "transformer" and not arch.gated:
        reason = f"mlp {arch.mlp!r} (train with mlp 'swiglu' to export)"
    elif arch.family == "gpt2" and arch.mlp != "gelu":
        reason = f"family 'gpt2' with mlp {arch.mlp!r} (train with mlp 'gelu' to export)"
    elif arch.family == "gpt2" and not _heads_fill_the_width(arch):
        reason = (
            f"family 'gpt2' with {arch.n_kv_head} of {arch.n_head} heads for keys and "
            f"{arch.n_head * arch.d_head} of {arch.d_model} columns (leave n_kv_head and d_head out)"
        )
    elif arch.window:
        reason = f"window {arch.window}"
    elif arch.tied and model.logit_scale != 1:
        reason = "a tied head whose logits are scaled (train untied, or with transfer 'none')"
    if reason:
        raise InputError(f"no published Hugging Face class has {reason}", field="model")


def _heads_fill_the_width(arch: Architecture) -> bool:
    return arch.n_kv_head == arch.n_head and arch.n_head * arch.d_head == arch.d_model


def _llama(model: LM) -> Tensors:
    arch = model.arch
    out = {
        "model.embed_tokens.weight": model.embed.weight,
        "model.norm.weight": model.get_parameter("body.norm.weight"),
    }
    if not arch.tied:
        out["lm_head.weight"] = model.head.weight * model.logit_scale
    for i in range(arch.n_layer):
        out |= _llama_layer(model, f"body.blocks.{i}", f"model.layers.{i}")
    return out


def _llama_layer(model: LM, ours: str, theirs: str) -> Tensors:
    arch = model.arch
    block = model.get_submodule(ours)
    residual = float(block.residual)  # type: ignore[arg-type]

    def weight(name: str) -> Tensor:
        return model.get_parameter(f"{ours}.{name}.weight")

    q, k, v = torch.split(
        weight("attention.qkv"), [arch.n_head * arch.d_head, *[arch.n_kv_head * arch.d_head] * 2]
    )
    gate, up = weight("mlp.up").chunk(2)
    # They divide scores by sqrt(d_head), we multiply by 8 / d_head.
    sharper = 8 / arch.d_head**0.5
    out = {
        "self_attn.q_proj": q if arch.qk_norm else q * sharper,
        "self_attn.k_proj": k,
        "self_attn.v_proj": v,
        "self_attn.o_proj": weight("attention.out") * residual,
        "mlp.gate_proj": gate,
        "mlp.up_proj": up,
        "mlp.down_proj": weight("mlp.down") * residual,
        "input_layernorm": weight("norm_a"),
        "post_attention_layernorm": weight("norm_m"),
    }
    if arch.qk_norm:
        out["self_attn.q_norm"] = weight("attention.norm_q") * sharper
        out["self_attn.k_norm"] = weight("attention.norm_k")
    return {f"{theirs}.{name}.weight": t for name, t in out.items()}


def _llama_config(arch: Architecture) -> dict[str, Any]:
    name = "Qwen3" if arch.qk_norm else "Llama"
    return {
        "architectures": [f"{name}ForCausalLM"],
        "model_type": name.lower(),
        "vocab_size": arch.vocab_size,
        "hidden_size": arch.d_model,
        "intermediate_size": arch.d_ff,
        "num_hidden_layers": arch.n_layer,
        "num_attention_heads": arch.n_head,
        "num_key_value_heads": arch.n_kv_head,
        "head_dim": arch.d_head,
        "max_position_embeddings": arch.context,
        "rope_theta": 2.0 * arch.context,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": arch.tied,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "torch_dtype": "float32",
    }


def _gpt2(model: LM) -> Tensors:
    get = model.get_parameter
    out = {
        "transformer.wte.weight": model.embed.weight,
        "transformer.wpe.weight": get("body.position.weight"),
        "transformer.ln_f.weight": get("body.norm.weight"),
        "transformer.ln_f.bias": get("body.norm.bias"),
    }
    if not model.arch.tied:
        out["lm_head.weight"] = model.head.weight * model.logit_scale
    names = {"norm_a": "ln_1", "qkv": "attn.c_attn", "out": "attn.c_proj",
             "norm_m": "ln_2", "up": "mlp.c_fc", "down": "mlp.c_proj"}  # fmt: skip
    for i in range(model.arch.n_layer):
        residual = float(model.get_submodule(f"body.blocks.{i}").residual)  # type: ignore[arg-type]
        for ours, theirs in names.items():
            factor = residual if ours in ("out", "down") else 1.0
            w, b = (get(f"body.blocks.{i}.{ours}.{x}") * factor for x in ("weight", "bias"))
            # their Conv1D stores (in, out)
            out[f"transformer.h.{i}.{theirs}.weight"] = w.T if w.ndim == 2 else w
            out[f"transformer.h.{i}.{theirs}.bias"] = b
    return out


def _gpt2_config(arch: Architecture) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": arch.vocab_size,
        "n_positions": arch.context,
        "n_embd": arch.d_model,
        "n_layer": arch.n_layer,
        "n_head": arch.n_head,
        "n_inner": arch.d_ff,
        "activation_function": "gelu",
        "layer_norm_epsilon": 1e-5,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "tie_word_embeddings": arch.tied,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 written, 2 bad input."""
    args = _parser().parse_args(argv)
    try:
        model, tokenizer = open_run(args.run, args.data)
        export(model, args.out)
    except InputError as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    write_tokenizer(tokenizer, args.out, context=model.arch.context)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.export", description=__doc__)
    parser.add_argument("run", type=Path, help="a finished run's folder")
    parser.add_argument("--data", type=Path, required=True, help="its corpus")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint's folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
