import gzip
import json
from pathlib import Path

import pytest

from fitting.errors import InputError
from trainer.data.manifest import Manifest
from trainer.data.prepare import prepare
from trainer.data.shards import verify
from trainer.data.sources import installed
from trainer.data.tokenize import Bpe, Bytes, load_tokenizer


def test_the_manifest_counts_what_was_written(tmp_path, texts):
    made = prepare(tmp_path / "corpus", [texts], val_share=0.3)
    loaded = Manifest.load(tmp_path / "corpus")
    assert loaded == made
    assert loaded.domains == ("docs",)
    n_bytes = sum(p.stat().st_size for p in texts.iterdir())
    tokens = loaded.n_tokens("train") + loaded.n_tokens("val")
    assert tokens == n_bytes + 40  # one separator each
    assert sum(s.n_documents for s in loaded.shards) == 40
    verify(tmp_path / "corpus", loaded)


def test_the_same_text_has_the_same_fingerprint(tmp_path, texts):
    a = prepare(tmp_path / "a", [texts], val_share=0.3)
    b = prepare(tmp_path / "b", [texts], val_share=0.3)
    assert a.fingerprint == b.fingerprint
    (texts / "0.txt").write_text("changed")
    assert prepare(tmp_path / "c", [texts], val_share=0.3).fingerprint != a.fingerprint


def test_duplicates_and_binaries_are_left_out_and_counted(tmp_path, texts):
    (texts / "copy.txt").write_bytes((texts / "3.txt").read_bytes())
    (texts / "zero.txt").write_bytes(b"a\0b")
    (texts / "latin.txt").write_bytes(b"caf\xe9")
    manifest = prepare(tmp_path / "corpus", [texts], val_share=0.3)
    assert manifest.dropped == {"duplicate": 1, "contains byte 0": 1, "not UTF-8": 1}


def test_max_bytes_stops_and_says_so(tmp_path, texts):
    manifest = prepare(tmp_path / "corpus", [texts], val_share=0.3, max_bytes=1000)
    assert 1000 <= manifest.n_tokens("train") + manifest.n_tokens("val") < 1400
    assert manifest.dropped["beyond max_bytes"] > 0


def test_json_lines_and_parquet_name_their_domains(tmp_path):
    rows = [{"text": f"number {i} " * 5, "domain": "odd" if i % 2 else "even"} for i in range(60)]
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as stream:
        stream.writelines(json.dumps(r) + "\n" for r in rows)
    manifest = prepare(tmp_path / "corpus", [tmp_path / "a.jsonl.gz"], val_share=0.3)
    assert set(manifest.domains) == {"odd", "even"}


def test_bpe_is_shorter_than_bytes_and_decodes_back(tmp_path, texts):
    manifest = prepare(tmp_path / "corpus", [texts], tokenizer="bpe", vocab_size=300, val_share=0.3)
    assert manifest.bytes_per_token() > 1.5
    assert manifest.vocab_size <= 300
    tokenizer = load_tokenizer(tmp_path / "corpus", "bpe")
    assert tokenizer.fingerprint == manifest.tokenizer_fingerprint
    text = "document 1: wörd\n"
    (ids,) = tokenizer.encode([text.encode()])
    assert ids[-1] == 0
    assert tokenizer.decode(ids[:-1].tolist()) == text


def test_the_end_spelled_in_a_text_is_text(tmp_path):
    trained = Bpe.train(["a page about <|end|> and others "] * 50, 300)
    trained.save(tmp_path)
    for tokenizer in (trained, load_tokenizer(tmp_path, "bpe")):
        (ids,) = tokenizer.encode([b"a<|end|>b"])
        assert ids.tolist().count(0) == 1
        assert ids[-1] == 0
        assert tokenizer.decode(ids[:-1].tolist()) == "a<|end|>b"


def test_bytes_decode_back():
    (ids,) = Bytes().encode(["naïve".encode()])
    assert Bytes().decode(ids.tolist()) == "naïve<|end|>"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": "words"}, "tokenizer must be 'bytes' or 'bpe'; got 'words'"),
        ({"tokenizer": "bpe", "vocab_size": 100}, "vocab_size must be at least 257"),
        ({"val_share": 2.0}, r"val_share must lie in \(0, 1\); got 2.0"),
        (
            {"domains": ("poems",)},
            r"domains must be among \['c-headers', 'docs', 'python'\]; got 'poems'",
        ),
        ({"max_bytes": 0}, "max_bytes must be positive; got 0"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(tmp_path, texts, changes, message):
    with pytest.raises(InputError, match=message):
        prepare(tmp_path / "corpus", [texts], **changes)
    assert not (tmp_path / "corpus").exists()


def _here(tmp_path):
    return {p.relative_to(tmp_path): p.is_file() and p.read_bytes() for p in tmp_path.rglob("*")}


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("precious", r"out must be a new or empty folder, or one that holds .*precious is neither"),
        ("precious/thesis.txt", r"out must be a new or empty folder, .*thesis.txt is neither"),
        ("other", "out must be a new or empty folder, .*other is neither"),
        ("texts", r"out must not be or contain the input .*texts, .* \(give another\)"),
        ("", "out must not be or contain the input"),
    ],
)
def test_only_a_corpus_is_replaced(tmp_path, texts, out, message):
    for name, file in (("precious", "thesis.txt"), ("other", "manifest.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text('{"name": "another program\'s"}')
    before = _here(tmp_path)
    with pytest.raises(InputError, match=message) as refused:
        prepare(tmp_path / out, [texts], val_share=0.3)
    assert refused.value.field == "out"
    assert _here(tmp_path) == before


def test_the_working_folder_is_not_replaced(tmp_path, texts, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in (Path(), Path("..")):
        with pytest.raises(InputError, match="out must not be or contain the working folder"):
            prepare(out, None)


def test_an_empty_folder_and_an_altered_corpus_are_replaced(tmp_path, texts):
    out = tmp_path / "corpus"
    out.mkdir()
    made = prepare(out, [texts], val_share=0.3)
    manifest = out / "manifest.json"
    manifest.write_text(manifest.read_text().replace(made.shards[0].sha256, "0" * 64))
    (tmp_path / "link").symlink_to(out)
    for path in (out, tmp_path / "link"):
        assert prepare(path, [texts], val_share=0.3).fingerprint == made.fingerprint
        assert Manifest.load(out).fingerprint == made.fingerprint


def test_inputs_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"inputs must be files or folders that exist; got .*nowhere"
    ):
        prepare(tmp_path / "corpus", [tmp_path / "nowhere"])


def test_a_record_without_text_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"txt": "x"}\n')
    with pytest.raises(InputError, match=r"needs a string field 'text'; .* record 0 has \['txt'\]"):
        prepare(tmp_path / "corpus", [tmp_path / "a.jsonl"])
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "caf\xe9"}\n', "inputs must be UTF-8; .*a.jsonl is not: .*0xe9"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "must be Unicode text; .*a.jsonl record 0: surrog"),
        ("a.jsonl.gz", b"no gzip", "inputs must be readable; .*a.jsonl.gz is not: Not a gzipped"),
        ("a.jsonl.gz", gzip.compress(b"{}" * 99)[:-9], "readable; .*a.jsonl.gz is not: Compressed"),
        ("a.jsonl.zst", b"no zstd", "inputs must be readable; .*a.jsonl.zst is not: zstd"),
        ("a.parquet", b"no parquet", "inputs must be readable; .*a.parquet is not: .*[Pp]arquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as refused:
        prepare(tmp_path / "corpus", [tmp_path / name])
    assert refused.value.field == "inputs"


def test_a_domain_may_have_any_name_and_there_may_be_many(tmp_path):
    domains = ["cc/2024", "cc_2024", "../up", "a b", "x" * 300, *map(str, range(1100))]
    rows = [{"text": f"{i} in {d}", "source": d} for d in domains for i in range(2)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    manifest = prepare(tmp_path / "corpus", [tmp_path / "a.jsonl"], val_share=0.3)
    assert set(manifest.domains) == set(domains)
    assert all(Path(s.file).name == s.file for s in manifest.shards)
    assert len({s.file for s in manifest.shards}) == len(manifest.shards)
    verify(tmp_path / "corpus", manifest)


def test_a_missing_or_altered_corpus_is_refused(tmp_path, texts):
    with pytest.raises(InputError, match=r"data must be a prepared corpus; .*isoflop data prepare"):
        Manifest.load(tmp_path)
    manifest = prepare(tmp_path / "corpus", [texts], val_share=0.3)
    file = tmp_path / "corpus" / "manifest.json"
    file.write_text(file.read_text().replace(manifest.shards[0].sha256, "0" * 64))
    with pytest.raises(InputError, match="was altered"):
        Manifest.load(tmp_path / "corpus")


def test_an_altered_shard_is_noticed(tmp_path, texts):
    manifest = prepare(tmp_path / "corpus", [texts], val_share=0.3)
    shard = tmp_path / "corpus" / manifest.shards[0].file
    shard.write_bytes(b"x" * shard.stat().st_size)
    with pytest.raises(InputError, match=r"shard .* has SHA-256"):
        verify(tmp_path / "corpus", manifest)


@pytest.mark.slow
def test_the_installed_packages_are_a_corpus(tmp_path):
    manifest = prepare(tmp_path / "corpus", max_bytes=5_000_000)
    assert {"python", "c-headers", "docs"} <= set(manifest.domains)
    assert manifest.n_tokens("train") > 4_000_000
    packages = {d.group for d in installed()}
    assert set(manifest.held_out) < packages
