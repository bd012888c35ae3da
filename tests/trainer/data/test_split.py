"""Which documents are held out: the share that was asked for, whole packages, every domain."""

import json
from pathlib import Path

import pytest

from fitting.errors import InputError
from trainer.data import sources
from trainer.data.prepare import prepare
from trainer.data.sources import Document
from trainer.data.split import held_out_groups


def _held_out_share(manifest, domain):
    n = {split: manifest.n_tokens(split, domain) for split in ("train", "val")}
    return n["val"] / sum(n.values())


def _documents(sizes):
    return [
        Document(domain="d", group=g, name=f"{g}/{i}", n_bytes=1_000_000)
        for g, n in sizes.items()
        for i in range(n)
    ]


@pytest.mark.parametrize("max_bytes", [None, 40_000])
def test_a_limit_keeps_the_share_of_given_texts(tmp_path, max_bytes):
    rows = [{"text": f"{i} " * 50, "domain": "early" if i < 200 else "late"} for i in range(2000)]
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    manifest = prepare(tmp_path / "corpus", [file], val_share=0.2, max_bytes=max_bytes)
    assert manifest.domains == ("early", "late")
    for domain in manifest.domains:
        assert _held_out_share(manifest, domain) == pytest.approx(0.2, abs=0.07)


@pytest.mark.parametrize("max_bytes", [40_000, 400_000])
def test_a_limit_keeps_the_share_of_packages(tmp_path, max_bytes, monkeypatch):
    documents = [
        Document(domain=domain, group=f"p{g}", name=f"p{g}/{i}", n_bytes=200, text=text)
        for g in range(200)
        for i, domain in enumerate(("python", "python", "docs"))
        for text in [f"package {g} file {i:03} ".ljust(200, ".").encode()]
    ]
    documents.sort(key=lambda d: d.rank)
    monkeypatch.setattr(sources, "installed", lambda _: documents)
    manifest = prepare(tmp_path / "corpus", max_bytes=max_bytes, val_share=0.1)
    for domain in manifest.domains:
        assert 0.1 <= _held_out_share(manifest, domain) <= 0.16


def test_a_domain_is_never_held_out_as_a_whole(tmp_path):
    rows = [{"text": f"text number {i}", "domain": f"d{i}"} for i in range(30)]
    rows += [{"text": f"more {i}", "domain": "d0"} for i in range(30)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    manifest = prepare(tmp_path / "corpus", [tmp_path / "a.jsonl"], val_share=0.5)
    assert all(manifest.n_tokens("train", d) for d in manifest.domains)


def test_the_split_does_not_depend_on_how_a_path_is_spelled(tmp_path, texts, monkeypatch):
    (texts / "deep").mkdir()
    (texts / "0.txt").rename(texts / "deep" / "0.txt")
    monkeypatch.chdir(texts)
    inputs = [texts, Path("../texts"), Path(), texts / "deep" / ".."]
    found = [prepare(tmp_path / str(i), [p], val_share=0.3) for i, p in enumerate(inputs)]
    assert len({m.fingerprint for m in found}) == 1


def test_no_text_for_a_split_is_refused(tmp_path, texts):
    with pytest.raises(InputError, match="no text is left for the val split"):
        prepare(tmp_path / "corpus", [texts / "1.txt"], val_share=1e-9)


def test_packages_are_held_out_whole_and_large_ones_never():
    documents = _documents({"large": 500} | {f"small{i}": 1 for i in range(100)})
    groups = held_out_groups(documents, 0.02)
    assert "large" not in groups
    assert len(groups) == 12  # the first to reach 2 % of 600 MB


def test_a_package_fits_the_share_of_all_its_domains():
    mixed = [
        Document(domain="rare", group="both", name="r", n_bytes=2_000_000),
        Document(domain="rare", group="other", name="r", n_bytes=98_000_000),
        Document(domain="d", group="both", name="large", n_bytes=300_000_000),
    ]
    documents = _documents({f"small{i}": 1 for i in range(300)})
    groups = held_out_groups([*documents, *mixed], 0.02)
    assert not {"both", "other"} & groups  # half of a domain at once is too much
    assert held_out_groups([*documents, *mixed[:2]], 0.02) > {"both"}


def test_a_domain_of_one_package_holds_out_nothing():
    assert held_out_groups(_documents({"only": 3}), 0.5) == frozenset()


def test_one_text_is_held_out_where_one_is_due(tmp_path):
    """60 files and 2 %: by chance alone one corpus in three would hold out none."""
    for k in range(8):
        folder = tmp_path / str(k)
        folder.mkdir()
        for i in range(60):
            (folder / f"{i}.txt").write_text(f"document {i} of {k}")
        made = prepare(tmp_path / f"corpus{k}", [folder], val_share=0.02)
        n_val = sum(s.n_documents for s in made.shards if s.split == "val")
        assert 1 <= n_val <= 6
