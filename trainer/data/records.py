"""Documents inside files: JSON lines (plain, gzip, zstandard) and Parquet."""

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitting.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    text: str
    domain: str | None


def read_records(path: Path) -> Iterator[Record]:
    """Every record's `text` (or `content`).

    Raises:
        InputError: neither is a string, one is no Unicode text, or the file cannot be read.
    """
    for i, row in enumerate(_rows(path)):
        text = row.get("text", row.get("content"))
        if not isinstance(text, str):
            raise InputError(
                f"every record needs a string field 'text'; {path} record {i} has {sorted(row)}",
                field="inputs",
            )
        domain = row.get("domain", row.get("source"))
        record = Record(text=text, domain=domain if isinstance(domain, str) else None)
        try:
            f"{record.domain}{text}".encode()
        except UnicodeEncodeError as e:
            raise InputError(
                f"every record must be Unicode text; {path} record {i}: {e.reason} (half of a "
                f"surrogate pair?)",
                field="inputs",
            ) from e
        yield record


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from READERS[suffix_of(path)](path)
    except InputError:
        raise
    except UnicodeDecodeError as e:
        raise InputError(f"inputs must be UTF-8; {path} is not: {e}", field="inputs") from e
    except (OSError, EOFError, ValueError, zlib.error) as e:
        raise InputError(f"inputs must be readable; {path} is not: {e}", field="inputs") from e


def suffix_of(path: Path) -> str:
    """`.jsonl.zst` for a.jsonl.zst; `.txt` for a.b.txt."""
    return next((s for s in READERS if path.name.endswith(s)), path.suffix)


def _lines(path: Path, stream: Any) -> Iterator[dict[str, Any]]:
    for i, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as e:
            raise InputError(f"{path} line {i} is not JSON: {e}", field="inputs") from e
        if not isinstance(row, dict):
            raise InputError(f"{path} line {i} must be a JSON object", field="inputs")
        yield row


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        yield from _lines(path, stream)


def _gzip(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        yield from _lines(path, stream)


def _zstd(path: Path) -> Iterator[dict[str, Any]]:
    import zstandard  # noqa: PLC0415  a reader pays for its format only

    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        try:
            yield from _lines(path, io.TextIOWrapper(stream, encoding="utf-8"))
        except zstandard.ZstdError as e:
            raise OSError(e) from e


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    for batch in pq.ParquetFile(path).iter_batches(batch_size=1000):
        yield from batch.to_pylist()


READERS: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {
    ".jsonl": _jsonl,
    ".jsonl.gz": _gzip,
    ".jsonl.zst": _zstd,
    ".parquet": _parquet,
}
