"""Build a corpus: documents → deduplicated → split → tokens → shards and a manifest.

By default from the packages of this Python environment, so that it needs no network.
"""

import hashlib
import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fitting.errors import InputError
from trainer.data import sources
from trainer.data.manifest import Manifest, Shard, Split
from trainer.data.request import check_request
from trainer.data.shards import ShardWriter
from trainer.data.sources import Document
from trainer.data.split import held_out_groups, is_held_out
from trainer.data.tokenize import Bpe, Bytes, Tokenizer

DEFAULT_BYTES = 120_000_000  # enough for some hundred small runs, built in seconds
GROUP_SHARE = 0.1  # no package may be more than this share of the corpus
BPE_SAMPLE_BYTES = 20_000_000  # merges are learnt on this much text
BATCH = 256  # documents encoded at once

Item = tuple[Split, Document, bytes]


def prepare(
    out: Path,
    inputs: Sequence[Path] | None = None,
    *,
    tokenizer: Literal["bytes", "bpe"] = "bytes",
    vocab_size: int = 4096,
    max_bytes: int | None = None,
    domains: Sequence[str] = (),
    domain: str | None = None,
    val_share: float = 0.02,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Write shards, manifest and tokenizer to `out`, all or nothing.

    Args:
        out: the corpus's folder: new, empty, or an older corpus, which is replaced at the end.
        inputs: files and folders; None reads the installed packages.
        vocab_size: of the BPE [tokens]; bytes have 256.
        max_bytes: stop at this much text, both splits together; default 120 MB of the installed packages, else all.
        domains: keep only these domains of the installed packages.
        domain: the domain of `inputs` that do not name theirs.
        val_share: share of every domain's bytes that is held out.

    Raises:
        InputError: a value out of range, an unreadable input, or no text left for a split.
    """
    check_request(
        out,
        inputs,
        tokenizer=tokenizer,
        vocab_size=vocab_size,
        max_bytes=max_bytes,
        domains=domains,
        val_share=val_share,
    )
    out = out.resolve()  # where a link leads: the link itself cannot be replaced by a folder
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    dropped: Counter[str] = Counter()
    try:
        if inputs is None:
            groups, items = _installed(domains, max_bytes or DEFAULT_BYTES, val_share, dropped)
        else:
            groups, items = _given(inputs, domain, max_bytes, val_share, dropped)
        tok, items = _tokenizer(tokenizer, vocab_size, items)
        shards = _write(part, tok, items, on_progress)
        _check_splits(shards)
        tok.save(part)
        manifest = Manifest(
            tokenizer=tokenizer,
            tokenizer_fingerprint=tok.fingerprint,
            vocab_size=tok.vocab_size,
            dtype=_dtype(tok.vocab_size),
            shards=tuple(sorted(shards, key=lambda s: s.file)),
            held_out=tuple(sorted(groups)),
            dropped=dict(dropped),
            sources=("installed packages",) if inputs is None else tuple(map(str, inputs)),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        manifest.save(part)
        shutil.rmtree(out, ignore_errors=True)
        part.replace(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def _installed(
    domains: Sequence[str], limit: int, val_share: float, dropped: Counter[str]
) -> tuple[frozenset[str], Iterator[Item]]:
    """Read twice: which packages are held out depends on what is taken of them all."""
    found = _select(sources.installed(domains), limit, dropped)
    taken = [d for d, _ in _take(found, limit, dropped)]
    groups = held_out_groups(taken, val_share)
    return groups, (("val" if d.group in groups else "train", d, d.read()) for d in taken)


def _given(
    inputs: Sequence[Path],
    domain: str | None,
    max_bytes: int | None,
    val_share: float,
    dropped: Counter[str],
) -> tuple[frozenset[str], Iterator[Item]]:
    found = _take(sources.given(inputs, domain), max_bytes or 1 << 62, dropped)
    return frozenset(), _split(found, val_share)


def _split(found: Iterable[tuple[Document, bytes]], val_share: float) -> Iterator[Item]:
    """A domain's first text is for training, whatever its rank: what is only held out is a loss
    of something never trained on. And where so many went by that one is due, one is held out."""
    n: Counter[str] = Counter()
    n_val: Counter[str] = Counter()
    for d, text in found:
        due = n_val[d.domain] == 0 and n[d.domain] * val_share >= 0.5  # one, rounded
        val = n[d.domain] > 0 and (due or is_held_out(d, val_share))
        n[d.domain] += 1
        n_val[d.domain] += val
        yield "val" if val else "train", d, text


def _select(documents: Sequence[Document], limit: int, dropped: Counter[str]) -> list[Document]:
    """Drop the tiny and the huge, and what exceeds a package's share of the corpus."""
    used: Counter[str] = Counter()
    kept = []
    for d in documents:
        if not sources.MIN_BYTES <= d.n_bytes <= sources.MAX_BYTES:
            dropped["too short" if d.n_bytes < sources.MIN_BYTES else "too long"] += 1
        elif used[d.group] + d.n_bytes > GROUP_SHARE * limit:
            dropped["package has its share"] += 1
        else:
            used[d.group] += d.n_bytes
            kept.append(d)
    return kept


def _take(
    documents: Iterable[Document], limit: int, dropped: Counter[str]
) -> Iterator[tuple[Document, bytes]]:
    """Unique, readable texts, until there are `limit` bytes."""
    seen: set[bytes] = set()
    n_bytes = 0
    for d in documents:
        if n_bytes >= limit:
            dropped["beyond max_bytes"] += 1
            continue
        text = d.read()
        digest = hashlib.sha256(text).digest()
        if reason := _unfit(text, digest in seen):
            dropped[reason] += 1
            continue
        seen.add(digest)
        n_bytes += len(text)
        yield d, text


def _unfit(text: bytes, duplicate: bool) -> str:  # noqa: FBT001
    if duplicate:
        return "duplicate"
    if not text:
        return "empty"
    if b"\0" in text:
        return "contains byte 0"
    try:
        text.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return ""


def _tokenizer(
    kind: str, vocab_size: int, items: Iterator[Item]
) -> tuple[Tokenizer, Iterator[Item]]:
    """BPE learns from the first training texts; they are then encoded like the rest."""
    if kind == "bytes":
        return Bytes(), items
    head: list[Item] = []
    n_bytes = 0
    for item in items:
        head.append(item)
        n_bytes += len(item[2])
        if n_bytes >= BPE_SAMPLE_BYTES:
            break
    texts = (text.decode() for split, _, text in head if split == "train")
    return Bpe.train(texts, vocab_size), itertools.chain(head, items)


def _write(
    folder: Path, tok: Tokenizer, items: Iterator[Item], on_progress: Callable[[int], None]
) -> list[Shard]:
    writers: dict[tuple[Split, str], ShardWriter] = {}
    n_bytes = 0
    while batch := list(itertools.islice(items, BATCH)):
        encoded = tok.encode([text for _, _, text in batch])
        for (split, d, text), ids in zip(batch, encoded, strict=True):
            key = (split, d.domain)
            if key not in writers:
                writers[key] = ShardWriter(folder, split, d.domain, _dtype(tok.vocab_size))
            writers[key].add(ids, len(text))
            n_bytes += len(text)
        on_progress(n_bytes)
    return [shard for writer in writers.values() for shard in writer.close()]


def _dtype(vocab_size: int) -> Literal["uint8", "uint16", "uint32"]:
    return "uint8" if vocab_size <= 1 << 8 else "uint16" if vocab_size <= 1 << 16 else "uint32"


def _check_splits(shards: Sequence[Shard]) -> None:
    for split in ("train", "val"):
        if not any(s.split == split and s.n_tokens for s in shards):
            raise InputError(
                f"no text is left for the {split} split (give more documents, or another "
                f"val_share)",
                field="inputs",
            )
