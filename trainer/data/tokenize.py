"""Text to token ids: bytes, or byte-level BPE trained on the corpus itself.

Token 0 ends a document in both: a text never contains the byte 0 (`prepare` drops such files).
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer as HfTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

FILE = "tokenizer.json"
END = "<|end|>"
Ids = npt.NDArray[np.unsignedinteger]


class Tokenizer(Protocol):
    vocab_size: int

    @property
    def fingerprint(self) -> str: ...
    def encode(self, texts: Sequence[bytes]) -> list[Ids]: ...
    def decode(self, ids: Iterable[int]) -> str: ...
    def save(self, folder: Path) -> None: ...


class Bytes:
    """A token is a byte; 0 ends a document."""

    vocab_size = 256
    fingerprint = "bytes"

    def encode(self, texts: Sequence[bytes]) -> list[Ids]:
        return [np.frombuffer(t + b"\0", dtype=np.uint8) for t in texts]

    def decode(self, ids: Iterable[int]) -> str:
        return bytes(ids).decode("utf-8", errors="replace").replace("\0", END)

    def save(self, folder: Path) -> None:
        """Nothing to keep."""


class Bpe:
    """Byte-level BPE of the `tokenizers` library; any text, no unknown token."""

    def __init__(self, hf: HfTokenizer) -> None:
        self.hf = hf
        hf.encode_special_tokens = True  # `<|end|>` in a text is seven characters, not token 0
        self.vocab_size = hf.get_vocab_size()

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.hf.to_str().encode()).hexdigest()

    def encode(self, texts: Sequence[bytes]) -> list[Ids]:
        dtype = np.uint16 if self.vocab_size <= 1 << 16 else np.uint32
        encoded = self.hf.encode_batch_fast([t.decode() for t in texts])
        return [np.array([*e.ids, 0], dtype=dtype) for e in encoded]

    def decode(self, ids: Iterable[int]) -> str:
        return str(self.hf.decode(list(ids), skip_special_tokens=False))

    def save(self, folder: Path) -> None:
        self.hf.save(str(folder / FILE))

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "Bpe":
        hf = HfTokenizer(models.BPE())
        hf.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        hf.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[END],  # id 0
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        hf.train_from_iterator(texts, trainer)
        return cls(hf)


def load_tokenizer(folder: Path, kind: str) -> Tokenizer:
    if kind == "bytes":
        return Bytes()
    return Bpe(HfTokenizer.from_file(str(folder / FILE)))
