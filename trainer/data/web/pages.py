"""The HTML pages of a WARC file; what is no page comes with the reason.

datatrove's own reader leaves records out without counting them and needs libmagic.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from fitting.errors import InputError

HTML = ("text/html", "application/xhtml+xml")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_START = re.compile(rb"<(!doctype\s+html|html)\b", re.IGNORECASE)
HEAD = 2048  # bytes in which a page says what it is


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """`reason` says why it is left out; empty: `html` is the page."""

    id: str
    url: str
    n_bytes: int
    html: str = ""
    reason: str = ""


def read_pages(path: Path) -> Iterator[Page]:
    """One for every record. Raises InputError where `path` is no WARC file or a damaged one."""
    try:
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream):
                yield _page(record)
    except (ArchiveLoadFailed, zlib.error, EOFError, OSError) as e:
        reason = " ".join(str(e).split())[:200]
        raise InputError(
            f"input must be WARC files; {path} cannot be read: {reason} (a WARC that was "
            f"compressed as a whole is mended by `warcio recompress`)",
            field="input",
        ) from e


def check_warc(path: Path) -> None:
    """Raises InputError unless the file starts with a WARC record."""
    if next(read_pages(path), None) is None:
        raise InputError(f"input must be WARC files; {path} holds no record", field="input")


def _page(record: Any) -> Page:
    body, reason = _body(record)
    html = None if reason else _decode(body, _content_type(record))
    return Page(
        id=record.rec_headers.get_header("WARC-Record-ID") or "",
        url=record.rec_headers.get_header("WARC-Target-URI") or "",
        n_bytes=len(body),
        html=html or "",
        reason=reason or ("unknown_encoding" if html is None else ""),
    )


def _body(record: Any) -> tuple[bytes, str]:
    if record.rec_type != "response":
        return b"", f"{record.rec_type}_record"
    status = record.http_headers.get_statuscode() if record.http_headers else None
    try:
        body = record.content_stream().read()
    except (zlib.error, OSError, ValueError):
        return b"", "unreadable"
    if status != "200":
        return body, f"status_{status}"
    if getattr(record.raw_stream, "limit", 0):  # bytes that the header promised are missing
        return body, "cut_off"
    if not body.strip():
        return body, "empty"
    return body, "" if _is_html(record, body) else "not_html"


def _content_type(record: Any) -> str:
    return (record.http_headers.get_header("Content-Type") or "").lower()


def _is_html(record: Any, body: bytes) -> bool:
    kind = record.rec_headers.get_header("WARC-Identified-Payload-Type") or _content_type(record)
    if kind:
        return kind.split(";")[0].strip() in HTML
    return bool(_START.search(body[:HEAD]))


def _decode(body: bytes, content_type: str) -> str | None:
    """By the charset that HTTP or the page declares, else UTF-8; None where none fits."""
    declared = (_CHARSET.search(content_type.encode()), _CHARSET.search(body[:HEAD]))
    for name in (*(m[1].decode() for m in declared if m), "utf-8-sig"):
        try:
            return body.decode(name)
        except (LookupError, UnicodeError):  # the codec `undefined` raises the latter
            continue
    return None
