"""What a cleaning is asked to do, checked before anything is written."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fitting.errors import InputError
from trainer.data import sources
from trainer.data.web import domains, language

NEEDS = ("datatrove", "lxml_html_clean", "orjson", "py3langid", "regex", "trafilatura", "warcio")
COUNTS = "counts.json"  # in the output folder; `data prepare` reads no .json
DEFAULT_SHARE = 0.5
MIN_GOOD = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """`good` holds texts, not a path; None: no quality classifier."""

    paths: tuple[Path, ...]
    languages: tuple[str, ...]
    good: tuple[str, ...] | None
    quality_share: float
    table: dict[str, str]
    workers: int

    @property
    def fingerprint(self) -> str:
        """Of everything that can change the result: an interrupted run goes on if it is alike."""
        files = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in self.paths]
        tools = [(name, version(name)) for name in ("datatrove", "py3langid", "trafilatura")]
        asked = (files, self.languages, self.good, self.quality_share, self.table, tools)
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def read_request(
    out: Path,
    inputs: Sequence[Path],
    *,
    languages: Sequence[str],
    good: Path | None,
    quality_share: float | None,
    hosts: Path | None,
    workers: int,
) -> Request:
    """Raises InputError for the first value that cannot be meant."""
    _check_extra()
    _check_numbers(workers, quality_share, good)
    _check_out(out)
    language.check_languages(languages)
    return Request(
        table=domains.SUFFIXES if hosts is None else domains.read_table(hosts),
        good=None if good is None else read_good(good),
        paths=find_inputs(inputs),
        languages=tuple(languages),
        quality_share=DEFAULT_SHARE if quality_share is None else quality_share,
        workers=workers,
    )


def find_inputs(inputs: Sequence[Path]) -> tuple[Path, ...]:
    """The WARC files themselves, and those in folders, in order of name."""
    from trainer.data.web.pages import check_warc  # noqa: PLC0415  the extra `web`

    found: list[Path] = []
    for path in inputs:
        if not path.exists():
            raise InputError(f"input must be WARC files that exist; got {path}", field="input")
        found += _warc_files(path) if path.is_dir() else [path]
    if not found:
        raise InputError(
            f"input must name at least one WARC file (.warc or .warc.gz); got "
            f"{', '.join(map(str, inputs)) or 'none'}",
            field="input",
        )
    for path in found:
        check_warc(path)
    return tuple(found)


def _warc_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.name.endswith((".warc", ".warc.gz")))


def read_good(path: Path) -> tuple[str, ...]:
    """Texts of a file or folder that `data prepare` reads as well; a .txt file is one text."""
    if not path.exists():
        raise InputError(f"good must be a file or folder that exists; got {path}", field="good")
    try:
        texts = tuple(d.read().decode(errors="replace") for d in sources.given([path]))
    except InputError as e:
        raise InputError(f"good cannot be read: {e}", field="good") from e
    if len(texts) < MIN_GOOD:
        raise InputError(
            f"good must hold at least {MIN_GOOD} texts; {path} holds {len(texts)} (one in a line "
            f"of .jsonl, or one in a .txt file of a folder)",
            field="good",
        )
    return texts


def _check_extra() -> None:
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise InputError(
            f"cleaning web pages needs {', '.join(missing)}, which is not installed "
            f"(pip install 'isoflop[web]')",
            field="input",
        )


def _check_numbers(workers: int, quality_share: float | None, good: Path | None) -> None:
    if workers < 1:
        raise InputError(f"workers must be at least 1; got {workers}", field="workers")
    if quality_share is None:
        return
    if not 0 < quality_share <= 1:
        raise InputError(
            f"quality_share must lie in (0, 1]; got {quality_share}"
            f"{' (a percentage?)' if 1 < quality_share <= 100 else ''}",
            field="quality_share",
        )
    if good is None:
        raise InputError(
            f"quality_share needs texts to judge by; got {quality_share} without good "
            f"(give --good FILE)",
            field="quality_share",
        )


def _check_out(out: Path) -> None:
    """An older result may be replaced; a folder of something else must not be."""
    if out.is_dir() and (not any(out.iterdir()) or (out / COUNTS).is_file()):
        return
    if out.exists():
        raise InputError(
            f"out must be a new folder or one that an earlier cleaning wrote; {out} is neither "
            f"(give another)",
            field="out",
        )
