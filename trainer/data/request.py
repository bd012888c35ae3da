"""What a preparation is asked to do, checked before anything is written."""

import json
from collections.abc import Sequence
from pathlib import Path

from fitting.errors import InputError
from trainer.data import sources
from trainer.data.manifest import FILE, Manifest


def check_request(
    out: Path,
    inputs: Sequence[Path] | None,
    *,
    tokenizer: str,
    vocab_size: int,
    max_bytes: int | None,
    domains: Sequence[str],
    val_share: float,
) -> None:
    """Raises InputError for the first value that cannot be meant."""
    _check_domains(domains)
    _check_tokenizer(tokenizer, vocab_size)
    if not 0 < val_share < 1:
        raise InputError(f"val_share must lie in (0, 1); got {val_share}", field="val_share")
    if max_bytes is not None and max_bytes < 1:
        raise InputError(f"max_bytes must be positive; got {max_bytes}", field="max_bytes")
    _check_out(out, inputs or ())


def _check_domains(domains: Sequence[str]) -> None:
    known = sorted(set(sources.DOMAINS.values()))
    for name in domains:
        if name not in known:
            raise InputError(f"domains must be among {known}; got {name!r}", field="domains")


def _check_tokenizer(kind: str, vocab_size: int) -> None:
    if kind not in ("bytes", "bpe"):
        raise InputError(f"tokenizer must be 'bytes' or 'bpe'; got {kind!r}", field="tokenizer")
    if kind == "bpe" and vocab_size < 257:
        raise InputError(
            f"vocab_size must be at least 257 for BPE (256 bytes and the end of a document); "
            f"got {vocab_size}",
            field="vocab_size",
        )


def _check_out(out: Path, inputs: Sequence[Path]) -> None:
    """An older corpus may be replaced; whatever else lies there must not be deleted."""
    here = out.resolve()
    for path in (*inputs, Path()):
        if path.resolve().is_relative_to(here):
            what = "the working folder" if path == Path() else f"the input {path}"
            raise InputError(
                f"out must not be or contain {what}, it is replaced as a whole; got {out} "
                f"(give another)",
                field="out",
            )
    new = not out.exists() and not out.is_symlink()
    if new or (out.is_dir() and (not any(out.iterdir()) or _is_corpus(out))):
        return
    raise InputError(
        f"out must be a new or empty folder, or one that holds a corpus to replace; {out} is "
        f"neither (give another)",
        field="out",
    )


def _is_corpus(folder: Path) -> bool:
    """Also an altered one, which is to be prepared again; other programs' manifests are not."""
    try:
        Manifest.from_dict(json.loads((folder / FILE).read_text()))
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        return False
    return True
