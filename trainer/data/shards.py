"""Shards: flat files of token ids, one writer per split and domain, read by memory map."""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fitting.errors import InputError
from trainer.data.manifest import Manifest, Shard, Split

SHARD_TOKENS = 1 << 28  # a file stays below 1 GB even in uint32


class ShardWriter:
    """Appends documents; starts a new file when one is full. Hashes while writing."""

    def __init__(self, folder: Path, split: Split, domain: str, dtype: str) -> None:
        self.folder, self.split, self.domain, self.dtype = folder, split, domain, dtype
        self.done: list[Shard] = []
        self._open()

    def _open(self) -> None:
        self.file = f"{self.split}-{_file_name(self.domain)}-{len(self.done):03d}.bin"
        self.hash = hashlib.sha256()
        self.n_tokens = self.n_bytes = self.n_documents = 0

    def add(self, ids: npt.NDArray[Any], n_bytes: int) -> None:
        if self.n_tokens and self.n_tokens + len(ids) > SHARD_TOKENS:
            self.close()
            self._open()
        raw = ids.astype(self.dtype).tobytes()
        with (self.folder / self.file).open("ab") as stream:  # not kept: domains may be thousands
            stream.write(raw)
        self.hash.update(raw)
        self.n_tokens += len(ids)
        self.n_bytes += n_bytes
        self.n_documents += 1

    def close(self) -> list[Shard]:
        self.done.append(
            Shard(
                split=self.split,
                domain=self.domain,
                file=self.file,
                n_tokens=self.n_tokens,
                n_bytes=self.n_bytes,
                n_documents=self.n_documents,
                sha256=self.hash.hexdigest(),
            )
        )
        return self.done


def _file_name(domain: str) -> str:
    """The domain itself where every file system takes it, else what it takes of it and a hash."""
    if re.fullmatch(r"[\w.-]{1,50}", domain):
        return domain
    digest = hashlib.sha256(domain.encode()).hexdigest()
    return re.sub(r"[^\w.-]", "_", domain)[:40] + f"-{digest[:10]}"


def open_tokens(
    folder: Path, manifest: Manifest, split: Split, domain: str
) -> list[npt.NDArray[Any]]:
    """Memory maps of the shards. Raises InputError where a file's length is not as recorded."""
    maps: list[npt.NDArray[Any]] = []
    for shard in manifest.select(split, domain):
        path = folder / shard.file
        n_bytes = shard.n_tokens * np.dtype(manifest.dtype).itemsize
        found = path.stat().st_size if path.is_file() else 0
        if found != n_bytes:
            raise InputError(
                f"shard {path} must hold {n_bytes} bytes; found {found} (prepare the corpus again)",
                field="data",
            )
        if shard.n_tokens:
            maps.append(np.memmap(path, dtype=manifest.dtype, mode="r"))
    return maps


def verify(folder: Path, manifest: Manifest) -> None:
    """Every shard's content against its hash. Raises InputError naming the shard."""
    for shard in manifest.shards:
        with (folder / shard.file).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != shard.sha256:
            raise InputError(
                f"shard {shard.file} has SHA-256 {found[:12]}…, its manifest says "
                f"{shard.sha256[:12]}… (prepare the corpus again)",
                field="data",
            )
