"""`clean` on a small crawl whose every page has a known fate."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.trainer.data.web_pages import (
    FATE,
    HOSTS,
    crawl,
    good_texts,
    needs_extra,
)
from trainer.data.manifest import Manifest
from trainer.data.prepare import prepare
from trainer.data.web import pipeline
from trainer.data.web.counts import Counts, StepCount
from trainer.data.web.pipeline import clean

pytestmark = pytest.mark.slow  # a whole crawl, several times

EMPTY = StepCount(step="pages", n_in=0, bytes_in=0, n_out=0, bytes_out=0)


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory):
    """(folder, counts); `folder` has the crawl, the good texts and `out`."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "crawl").mkdir()
    crawl(folder / "crawl")
    good = good_texts(folder / "good.jsonl")
    return folder, clean(folder / "out", [folder / "crawl"], good=good)


def rows(folder):
    return [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl.gz"))
        for line in gzip.open(path, "rt", encoding="utf-8")
    ]


def data(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@needs_extra
def test_every_step_drops_what_it_must_and_says_why(cleaned):
    _, counts = cleaned
    assert {s.step: s.dropped for s in counts.steps} == FATE


@needs_extra
def test_the_counts_add_up_from_the_records_to_the_files(cleaned):
    folder, counts = cleaned
    assert counts.n_in == 60 + 10 + 9 + 15
    assert counts.n_in - counts.n_dropped == counts.n_out == len(rows(folder / "out")) == 30
    n, n_bytes = map(sum, zip(*counts.domains.values(), strict=True))
    assert (n, n_bytes) == (counts.n_out, counts.steps[-1].bytes_out)
    assert n_bytes == sum(len(r["text"].encode()) for r in rows(folder / "out"))
    assert json.loads((folder / "out/counts.json").read_text()) == counts.to_dict()


@needs_extra
def test_of_near_duplicates_one_is_left(cleaned):
    folder, _ = cleaned
    titles = [r["text"].split("\n")[0] for r in rows(folder / "out")]
    assert len(set(titles)) == len(titles)


@needs_extra
def test_addresses_are_replaced_and_the_documents_counted(cleaned):
    folder, counts = cleaned
    texts = [r["text"] for r in rows(folder / "out")]
    assert not any(re.search(r"@mail\.com|8\.8\.4\.", t) for t in texts)
    replaced = [t for t in texts if "to email@example.com or to the machine at 192.0.2.1." in t]
    assert len(replaced) == counts.steps[-1].n_changed == 6


@needs_extra
def test_the_classifier_keeps_what_the_good_texts_speak_of(cleaned):
    folder, _ = cleaned
    numbers = [int(r["url"].split("/")[3]) for r in rows(folder / "out")]
    assert {n % 2 for n in numbers} == {1}  # the odd pages are about nature
    assert all(0 < r["score"] < 1 for r in rows(folder / "out"))


@needs_extra
def test_pages_carry_their_domain_language_and_address(cleaned):
    folder, counts = cleaned
    labels = dict(zip(HOSTS, ("encyclopedia", "academic", "web"), strict=True))
    for row in rows(folder / "out"):
        assert row["domain"] == labels[row["url"].split("/")[2]]
        assert row["language"] == "en"
        assert row["id"].startswith("<urn:uuid:")
    assert {d: n for d, (n, _) in counts.domains.items()} == dict.fromkeys(labels.values(), 10)


@needs_extra
def test_prepare_makes_a_corpus_of_it(cleaned, tmp_path):
    folder, _ = cleaned
    prepare(tmp_path / "corpus", [folder / "out"], val_share=0.2)
    manifest = Manifest.load(tmp_path / "corpus")
    assert set(manifest.to_dict()["n_tokens"]["train"]) == {"academic", "encyclopedia", "web"}
    assert manifest.dropped == {}


@needs_extra
def test_two_workers_write_the_same_bytes(cleaned, tmp_path):
    folder, _ = cleaned
    good = folder / "good.jsonl"
    clean(tmp_path / "out", [folder / "crawl"], good=good, workers=2)
    assert data(tmp_path / "out") == data(folder / "out")


@needs_extra
def test_a_run_that_was_stopped_goes_on_where_it_was(cleaned, tmp_path, monkeypatch):
    from trainer.data.web import stages, steps

    def stop(part, stage, *args):
        if stage.name == "pairs":
            raise KeyboardInterrupt
        return run(part, stage, *args)

    def again(*_args):
        raise AssertionError("pages are read a second time")

    run = stages.run
    folder, counts = cleaned
    ask = {"good": folder / "good.jsonl"}
    monkeypatch.setattr(stages, "run", stop)
    with pytest.raises(KeyboardInterrupt):
        clean(tmp_path / "out", [folder / "crawl"], **ask)
    monkeypatch.setattr(stages, "run", run)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(steps.ReadPages, "run", again)
    assert clean(tmp_path / "out", [folder / "crawl"], **ask) == counts
    assert data(tmp_path / "out") == data(folder / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_was_asked_differently_begins_afresh(tmp_path):
    part = tmp_path / "out.part"
    pipeline._open(part, "one")
    (part / "texts").touch()
    pipeline._open(part, "one")
    assert (part / "texts").exists()
    pipeline._open(part, "two")
    assert not (part / "texts").exists()


def test_a_run_killed_after_its_result_was_moved_is_not_taken_up(tmp_path, monkeypatch):
    def kill(folder, **_how):
        if folder.name == "out.part" and (tmp_path / "out").exists():
            raise KeyboardInterrupt
        rmtree(folder, ignore_errors=True)

    def read_request(*_args, **_how):
        return SimpleNamespace(fingerprint="one")

    rmtree = shutil.rmtree
    monkeypatch.setattr(pipeline, "read_request", read_request)
    monkeypatch.setattr(pipeline, "_run", lambda *_: Counts(steps=(EMPTY,)))
    monkeypatch.setattr(shutil, "rmtree", kill)
    with pytest.raises(KeyboardInterrupt):
        clean(tmp_path / "out", [])
    assert (tmp_path / "out/counts.json").exists()
    assert not (tmp_path / "out.part" / pipeline.MARK).exists()


@needs_extra
def test_stop_words_are_asked_of_english_alone():
    from datatrove.data import Document

    from trainer.data.web.steps import GopherQuality, Words

    text = "Wald Wiese Bach Feld Stein. " * 12
    fits = GopherQuality(language=Words()).filter
    assert fits(Document(text=text, id="1", metadata={"language": "de"})) is True
    found = fits(Document(text=text, id="1", metadata={"language": "en"}))
    assert found == (False, "gopher_enough_stop_words")


@needs_extra
def test_a_page_that_breaks_the_extractor_is_an_error_of_its_own(monkeypatch):
    from trainer.data.web.steps import Extract

    def broken(*_args, **_how):
        raise RuntimeError("no tree")

    monkeypatch.setattr("trafilatura.extract", broken)
    assert isinstance(Extract().extract("<html>"), RuntimeError)


def test_nothing_of_the_extra_is_imported_before_it_is_needed():
    code = (
        "import sys, trainer.data.web.pipeline, sweeper.cli.data\n"
        "sys.exit(bool({'datatrove', 'trafilatura', 'warcio', 'py3langid'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
