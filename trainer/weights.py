"""The trained model of a run: `model.safetensors`, the weights cooled down at its last horizon.

The run's spec travels in the file's metadata, so that the file alone makes the model again.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fitting.errors import InputError
from trainer.config import RunSpec
from trainer.data.manifest import Manifest
from trainer.data.tokenize import Tokenizer, load_tokenizer
from trainer.models.lm import LM, build

FILE = "model.safetensors"


def save_model(folder: Path, spec: RunSpec, weights: dict[str, Tensor]) -> None:
    part = folder / f"{FILE}.part"
    save_file(weights, part, metadata={"spec": json.dumps(spec.to_dict())})
    part.replace(folder / FILE)


def load_model(folder: Path, *, device: str = "cpu") -> tuple[LM, RunSpec]:
    """The model and the spec it was trained by.

    Raises:
        InputError: the run has not reached its last horizon, or the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(
            f"{folder} has no {FILE}: the run has not reached its last horizon "
            f"(train it to the end)",
            field="run",
        )
    try:
        with safe_open(path, framework="pt") as f:
            spec = RunSpec.from_dict(json.loads(f.metadata()["spec"]))
            weights = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as e:
        raise InputError(
            f"{path} is not a model that was trained here: {e} (train it again in another folder)",
            field="run",
        ) from e
    model = build(spec.model, spec.optimizer, seed=spec.seed, documents=spec.data.documents)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(weights[name])
    return model.to(device).eval(), spec


def open_run(folder: Path, data_dir: Path) -> tuple[LM, Tokenizer]:
    """A finished run's model with the tokenizer of its corpus.

    Raises:
        InputError: the run is not finished, or the corpus is not the one it was trained on.
    """
    model, spec = load_model(folder)
    manifest = Manifest.load(data_dir)
    if manifest.fingerprint != spec.data.fingerprint:
        raise InputError(
            f"data must be the corpus of {folder}, {spec.data.fingerprint[:12]}…; {data_dir} is "
            f"{manifest.fingerprint[:12]}… (give the corpus that the run was trained on)",
            field="data",
        )
    return model, load_tokenizer(data_dir, manifest.tokenizer)
