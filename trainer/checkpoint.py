"""Checkpoints that survive a crash at any moment: written aside, renamed, found by validity.

A checkpoint is a folder `step-…` with `state.safetensors` and `manifest.json`. The manifest says
which run it belongs to and the hash of the tensors; a folder whose hash fails is passed over.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from fitting.errors import InputError

FORMAT = 1
KEEP = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    tensors: dict[str, Tensor]
    meta: dict[str, Any]  # spec, data, segment, step, execution, measurements, journal


def save(folder: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> Path:
    """Write `folder/step-…`, flush it to disk, and only then remove all but the last two."""
    name = f"step-{meta['segment']:04d}-{meta['step']:09d}"
    part = folder / f"{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    state = part / "state.safetensors"
    save_file(tensors, state)
    manifest = {"format": FORMAT, "sha256": _sha256(state), **meta}
    (part / "manifest.json").write_text(json.dumps(manifest, allow_nan=False))
    for path in (state, part / "manifest.json", part):
        _flush(path)
    shutil.rmtree(folder / name, ignore_errors=True)
    part.replace(folder / name)
    _flush(folder)
    for old in _found(folder)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    return folder / name


def newest(folder: Path, *, spec_hash: str, data_fingerprint: str) -> Checkpoint | None:
    """The newest valid checkpoint, or None.

    Raises:
        InputError: a valid checkpoint of another spec or of other data lies there.
    """
    for path in reversed(_found(folder)):
        meta = _valid(path)
        if meta is None:
            continue
        for key, wanted in (("data_fingerprint", data_fingerprint), ("spec_hash", spec_hash)):
            if meta[key] != wanted:
                raise InputError(
                    f"checkpoint {path} has {key} {meta[key][:12]}…; this run has "
                    f"{wanted[:12]}… (train in another folder, or delete that checkpoint)",
                    field=key,
                )
        return Checkpoint(tensors=load_file(path / "state.safetensors"), meta=meta)
    return None


def _found(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if p.suffix != ".part")


def _valid(path: Path) -> dict[str, Any] | None:
    try:
        meta: dict[str, Any] = json.loads((path / "manifest.json").read_text())
        good = meta["format"] == FORMAT and meta["sha256"] == _sha256(path / "state.safetensors")
    except (OSError, ValueError, KeyError):
        return None
    return meta if good else None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flush(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
