"""A tiny corpus and tiny specs; everything below runs in milliseconds per step."""

import dataclasses
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
    """Sources of this repository as text: two domains, some hundred kilobytes."""
    root = Path(__file__).parents[2]
    out = tmp_path_factory.mktemp("data") / "corpus"
    prepare(out, [root / "trainer", root / "fitting", root / "README.md"], val_share=0.2)
    return out


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
