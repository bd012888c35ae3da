"""Checkpoints that survive a crash at any moment: written aside, renamed, found by validity.

A checkpoint is a folder `step-…` with `manifest.json` and the tensors: `state.safetensors`, or, of
several processes, a folder `shards`. The manifest says which run it belongs to and the hash of each
file; a folder whose hashes fail is passed over. Either kind is resumed by any number of processes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from fitting.errors import InputError
from trainer.config import RunSpec
from trainer.world import World

FORMAT = 2  # 1: before the data came in today's order; a run of that begins anew
FOLDER = "checkpoints"  # within a run's
KEEP = 2
STATE, SHARDS, MANIFEST = "state.safetensors", "shards", "manifest.json"

Tensors = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    path: Path
    meta: dict[str, Any]  # spec, data, segment, step, execution, measurements, journal

    def load(self, live: Tensors) -> Tensors:
        """Its tensors. Those of several processes are read into `live` in place; collective."""
        if (self.path / STATE).is_file():
            return load_file(self.path / STATE)
        from trainer import sharded  # noqa: PLC0415  (a run on one device never needs it)

        return sharded.read(self.path / SHARDS, live)


def save(folder: Path, tensors: Tensors, meta: dict[str, Any], world: World | None = None) -> Path:
    """Write `folder/step-…`, flush it to disk, and only then remove all but the last two.

    Every process of `world` takes part and writes what it holds of the tensors.
    """
    world = world or World()
    name = f"step-{meta['segment']:04d}-{meta['step']:09d}"
    part = folder / f"{name}.part"
    if world.first:
        for broken in folder.glob("step-*.part"):
            shutil.rmtree(broken, ignore_errors=True)
        part.mkdir(parents=True)
    hashes = _write(part, tensors, world)
    if world.first:
        _publish(part, folder / name, {"format": FORMAT, **hashes, **meta})
        # A later one is of no use, or this run would have gone on from it.
        later = [p for p in _found(folder) if p.name > name]
        for old in (*later, *_found(folder)[: -KEEP - len(later)]):
            shutil.rmtree(old, ignore_errors=True)
    return folder / name


def _write(part: Path, tensors: Tensors, world: World) -> dict[str, Any]:
    """The tensors, and the manifest's entry of hashes."""
    if world.size == 1:
        save_file(tensors, part / STATE)
        _flush(part / STATE)
        return {"sha256": _sha256(part / STATE)}
    from trainer import sharded  # noqa: PLC0415  (a run on one device never needs it)

    world.wait()  # for the folder
    mine = sharded.write(part / SHARDS, tensors, world.rank)
    _flush(part / SHARDS)  # before the first process hears of these files and renames the folder
    files: dict[str, str] = {}
    for theirs in world.gather({str(p.relative_to(part)): _sha256(p) for p in mine}):
        files |= theirs
    return {"files": files}


def _publish(part: Path, path: Path, manifest: dict[str, Any]) -> None:
    (part / MANIFEST).write_text(json.dumps(manifest, allow_nan=False))
    for written in (part / MANIFEST, part):
        _flush(written)
    shutil.rmtree(path, ignore_errors=True)
    part.replace(path)
    _flush(path.parent)


def of_run(folder: Path, spec: RunSpec) -> Checkpoint | None:
    """The newest valid one in the run's folder. Raises as `newest`."""
    return newest(
        folder / FOLDER,
        spec_hash=spec.fingerprint(),
        data_fingerprint=spec.data.fingerprint,
    )


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
        return Checkpoint(path=path, meta=meta)
    return None


def level(folders: Sequence[Path]) -> None:
    """Those that hold any go back to the newest that they all hold and that can be read, if there
    is one: runs of a stack save one after the other, and it may have died in between."""
    held = [found for folder in folders if (found := {p.name: p for p in _found(folder)})]
    common = set.intersection(*map(set, held)) if held else set()
    for name in sorted(common, reverse=True):
        if all(_valid(paths[name]) for paths in held):
            for path in (p for paths in held for p in paths.values() if p.name > name):
                shutil.rmtree(path)
            return


def _found(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if p.suffix != ".part")


def _valid(path: Path) -> dict[str, Any] | None:
    try:
        meta: dict[str, Any] = json.loads((path / MANIFEST).read_text())
        files = meta.get("files") or {STATE: meta["sha256"]}
        good = meta["format"] == FORMAT and _unaltered(path, files.items())
    except (OSError, ValueError, KeyError):
        return None
    return meta if good else None


def _unaltered(path: Path, files: Iterable[tuple[str, str]]) -> bool:
    return all(_sha256(path / name) == sha256 for name, sha256 in files)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flush(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
