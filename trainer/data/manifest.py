"""What a prepared corpus is: its shards, counts and fingerprint. No torch, no tokenizer.

The planner and the web process read it; `trainer.data.prepare` writes it.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from fitting.errors import InputError

Split = Literal["train", "val"]
FILE = "manifest.json"
END_OF_DOCUMENT = 0  # the token, with every tokenizer; it stands nowhere else
FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    split: Split
    domain: str
    file: str
    n_tokens: int
    n_bytes: int  # of text; separators between documents are tokens without bytes
    n_documents: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    tokenizer: Literal["bytes", "bpe"]
    tokenizer_fingerprint: str
    vocab_size: int
    dtype: Literal["uint8", "uint16", "uint32"]
    shards: tuple[Shard, ...]
    held_out: tuple[str, ...] = ()  # packages (or groups of documents) of the val split
    dropped: dict[str, int] = dataclasses.field(default_factory=dict)  # reason: documents
    sources: tuple[str, ...] = ()
    created_at: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of tokenizer and shard contents: same fingerprint, same tokens."""
        parts = [self.tokenizer, self.tokenizer_fingerprint, str(self.vocab_size), self.dtype]
        parts += [f"{s.split}/{s.domain}/{s.n_tokens}/{s.sha256}" for s in self.shards]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def domains(self) -> tuple[str, ...]:
        """In order of the shards."""
        return tuple(dict.fromkeys(s.domain for s in self.shards))

    def select(self, split: Split, domain: str | None = None) -> tuple[Shard, ...]:
        return tuple(s for s in self.shards if s.split == split and domain in (None, s.domain))

    def n_tokens(self, split: Split = "train", domain: str | None = None) -> int:
        return sum(s.n_tokens for s in self.select(split, domain))

    def bytes_per_token(self, split: Split = "val", domain: str | None = None) -> float:
        """Turns nats/token into bits/byte: nats / ln 2 / bytes_per_token."""
        n_bytes = sum(s.n_bytes for s in self.select(split, domain))
        return n_bytes / max(1, self.n_tokens(split, domain))

    def to_dict(self) -> dict[str, Any]:
        """The file's content: fields, and the derived figures a reader wants."""
        return {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "n_tokens": {
                split: {d: self.n_tokens(split, d) for d in self.domains}
                for split in ("train", "val")
            },
            "bytes_per_token": self.bytes_per_token(),
            **json.loads(json.dumps(dataclasses.asdict(self))),
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        derived = ("format", "fingerprint", "n_tokens", "bytes_per_token")
        fields = {k: v for k, v in d.items() if k not in derived}
        lists = {k: tuple(fields.get(k, ())) for k in ("held_out", "sources")}
        shards = tuple(Shard(**s) for s in fields["shards"])
        return cls(**{**fields, **lists, "shards": shards})

    def save(self, folder: Path) -> None:
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
        part = folder / f"{FILE}.part"
        part.write_text(text + "\n")
        part.replace(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises InputError: no corpus there, or a manifest that was altered."""
        path = Path(folder) / FILE
        if not path.is_file():
            raise InputError(
                f"data must be a prepared corpus; {folder} has no {FILE} "
                f"(make one with `isoflop data prepare --out {folder}`)",
                field="data",
            )
        try:
            d = json.loads(path.read_text())
            manifest = cls.from_dict(d)
        except (KeyError, TypeError, ValueError) as e:
            raise InputError(f"{path} is not a corpus manifest: {e}", field="data") from e
        if d.get("fingerprint") != manifest.fingerprint:
            raise InputError(
                f"{path} was altered: it says fingerprint {d.get('fingerprint')!r}, its shards "
                f"give {manifest.fingerprint!r} (prepare the corpus again)",
                field="data",
            )
        return manifest
