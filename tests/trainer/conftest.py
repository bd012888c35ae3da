"""A tiny corpus and tiny specs; everything below runs in milliseconds per step."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from fitting.costs.architecture import Architecture
from trainer.config import DataSpec, OptimizerSpec, RunSpec
from trainer.data.manifest import Manifest
from trainer.data.prepare import prepare

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def corpus_dir(tmp_path_factory) -> Path:
    """Sources and docstrings of the standard library: two domains, some hundred kilobytes."""
    folder = tmp_path_factory.mktemp("data")
    files = sorted(Path(json.__file__).parent.parent.glob("[a-d]*.py"))
    with (folder / "texts.jsonl").open("w") as stream:
        for i, path in enumerate(files):
            text = path.read_text(encoding="utf-8")
            domain = "docs" if i % 4 == 0 else "python"
            stream.write(json.dumps({"text": text, "domain": domain}) + "\n")
    prepare(folder / "corpus", [folder / "texts.jsonl"], val_share=0.2)
    return folder / "corpus"


@pytest.fixture(scope="session")
def manifest(corpus_dir) -> Manifest:
    return Manifest.load(corpus_dir)


@pytest.fixture
def make_spec(manifest):
    """A RunSpec by its changes: `make_spec(seed=3, model={"n_layer": 1})`."""

    def make(*, model=None, optimizer=None, data=None, **changes) -> RunSpec:
        arch = {"n_layer": 2, "d_model": 16, "n_head": 2, "vocab_size": 256, "context": 16}
        spec = {
            "model": Architecture(**{**arch, **(model or {})}),
            "data": DataSpec(**{"fingerprint": manifest.fingerprint, **(data or {})}),
            "optimizer": OptimizerSpec(**{"lr": 0.02, **(optimizer or {})}),
            "horizons": (20 * 64, 40 * 64),
            "batch_tokens": 64,
            "seed": 3,
            "eval_tokens": 256,
        }
        return RunSpec(**{**spec, **changes})

    return make


@pytest.fixture
def replaced():
    return dataclasses.replace
