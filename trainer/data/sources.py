"""Where documents come from: the installed packages of this environment, or files given.

Nothing is read until a document is asked for; nothing is dropped here without a reason counted
by the caller.
"""

import hashlib
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fitting.errors import InputError
from trainer.data.records import READERS, read_records, suffix_of

DOMAINS = {
    ".py": "python",
    ".pyi": "python",
    ".h": "c-headers",
    ".hpp": "c-headers",
    ".cuh": "c-headers",
    ".rst": "docs",
    ".md": "docs",
    ".txt": "docs",
    "METADATA": "docs",
}
MIN_BYTES = 128  # empty __init__.py files teach nothing
MAX_BYTES = 500_000  # beyond it: tables and generated code, not text


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A text to be. `group` is the unit that stays whole in one split."""

    domain: str
    group: str
    name: str
    n_bytes: int
    path: Path | None = None
    text: bytes | None = None

    def read(self) -> bytes:
        return self.text if self.text is not None else (self.path or Path()).read_bytes()

    @property
    def rank(self) -> str:
        """A fixed pseudo-random order that does not depend on where things are installed."""
        return hashlib.sha256(f"{self.domain}/{self.group}/{self.name}".encode()).hexdigest()


def installed(domains: Sequence[str] = ()) -> list[Document]:
    """Sources, stubs, headers and documentation of the installed packages, sorted by rank."""
    paths = sysconfig.get_paths()
    found = {
        (d.domain, d.group, d.name): d
        for base in (paths["stdlib"], paths["purelib"], paths["platlib"])
        for d in _walk(Path(base))
        if not domains or d.domain in domains
    }
    return sorted(found.values(), key=lambda d: d.rank)


def given(inputs: Sequence[Path], domain: str | None = None) -> Iterator[Document]:
    """Files and folders: .txt, .md, .rst, .py, .jsonl[.gz|.zst], .parquet; one group a document.

    A record's own `domain` or `source` field names its domain, else `domain`, else the file.
    """
    for base, path in _expand(inputs):
        where = path.relative_to(base).as_posix()  # the same however the input is spelled
        if suffix_of(path) in READERS:
            for i, record in enumerate(read_records(path)):
                text = record.text.encode()
                name = f"{where}:{i}"
                yield Document(
                    domain=record.domain or domain or suffix_free(path),
                    group=name,
                    name=name,
                    n_bytes=len(text),
                    text=text,
                )
        else:
            size = path.stat().st_size
            yield Document(
                domain=domain or DOMAINS.get(path.suffix, "text"),
                group=path.name,
                name=where,
                n_bytes=size,
                path=path,
            )


def suffix_free(path: Path) -> str:
    return path.name.split(".")[0] or "text"


def _expand(inputs: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Every file, after the folder that its name is told from."""
    for path in inputs:
        if path.is_dir():
            known = (p for p in path.rglob("*") if p.suffix in DOMAINS or suffix_of(p) in READERS)
            yield from ((path, p) for p in sorted(known) if p.is_file())
        elif path.is_file():
            yield path.parent, path
        else:
            raise InputError(
                f"inputs must be files or folders that exist; got {path}", field="inputs"
            )


def _walk(base: Path) -> Iterator[Document]:
    for path in base.rglob("*"):
        domain = DOMAINS.get(path.suffix) or DOMAINS.get(path.name)
        if domain is None or not path.is_file():
            continue
        relative = path.relative_to(base)
        if relative.parts[0] in ("site-packages", "__pycache__"):
            continue
        yield Document(
            domain=domain,
            group=_package(relative.parts[0]),
            name=relative.as_posix(),
            n_bytes=path.stat().st_size,
            path=path,
        )


def _package(part: str) -> str:
    """`numpy-2.4.6.dist-info` and `numpy` are one package: one split."""
    return part.split("-", maxsplit=1)[0].removesuffix(".py").removesuffix(".pyi").lower()
