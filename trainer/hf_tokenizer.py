"""Our tokenizers as files that `transformers.AutoTokenizer.from_pretrained` reads."""

import json
from pathlib import Path

from tokenizers import Tokenizer as HfTokenizer
from tokenizers import decoders, models, pre_tokenizers

from trainer.data.tokenize import END, Bpe, Tokenizer


def write_tokenizer(tokenizer: Tokenizer, folder: Path, *, context: int) -> None:
    """`tokenizer.json` and `tokenizer_config.json`; the same ids as in training."""
    hf = tokenizer.hf if isinstance(tokenizer, Bpe) else _bytes()
    hf.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END,  # ends a document, so it begins one too
        "eos_token": END,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def _bytes() -> HfTokenizer:
    """Byte-level BPE without merges: id = byte. The byte 0, in no text, is the document's end."""
    vocab = {END: 0, **{char: byte for byte, char in _visible().items() if byte}}
    hf = HfTokenizer(models.BPE(vocab=vocab, merges=[]))
    hf.add_special_tokens([END])
    hf.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    hf.decoder = decoders.ByteLevel()
    return hf


def _visible() -> dict[int, str]:
    """GPT-2's letter for every byte: itself where printable, else the next above 255."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(hidden)}
