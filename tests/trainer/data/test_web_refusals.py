"""What `clean` refuses, and what it leaves behind then: nothing."""

import gzip
import random

import pytest

from fitting.errors import InputError
from tests.trainer.data.web_pages import (
    good_texts,
    html,
    needs_extra,
    paragraphs,
    write_warc,
)
from trainer.data.web import request
from trainer.data.web.pipeline import clean


def warc(folder, n=1):
    page = html("A", paragraphs(random.Random(0))).encode()
    write_warc(folder / "in.warc.gz", [(f"http://a.com/{i}", page) for i in range(n)])
    return folder / "in.warc.gz"


@needs_extra
@pytest.mark.parametrize(
    ("how", "field", "message"),
    [
        ({"workers": 0}, "workers", "workers must be at least 1; got 0"),
        (
            {"quality_share": 0.0, "good": "good.jsonl"},
            "quality_share",
            r"quality_share must lie in \(0, 1\]; got 0.0$",
        ),
        (
            {"quality_share": 50, "good": "good.jsonl"},
            "quality_share",
            r"must lie in \(0, 1\]; got 50 \(a percentage\?\)",
        ),
        (
            {"quality_share": 0.5},
            "quality_share",
            r"quality_share needs texts to judge by; got 0.5 without good \(give --good FILE\)",
        ),
        ({"languages": ["en", "xx"]}, "languages", "languages must be codes among .* got 'xx'"),
        ({"languages": []}, "languages", "languages must name at least one code, such as en"),
        ({"good": "none.jsonl"}, "good", "good must be a file or folder that exists; got .*none"),
        ({"good": "bad.jsonl"}, "good", "good cannot be read: .*bad.jsonl line 1 is not JSON"),
        ({"good": "few.jsonl"}, "good", r"at least 10 texts; .* holds 1 \(one in a line of .jsonl"),
        ({"hosts": "none.yaml"}, "domains", "domains must be a YAML file; .* does not exist"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, how, field, message):
    good_texts(tmp_path / "good.jsonl")
    (tmp_path / "bad.jsonl").write_text("{")
    (tmp_path / "few.jsonl").write_text('{"text": "x"}\n')
    path = warc(tmp_path)
    before = set(tmp_path.iterdir())
    how |= {k: tmp_path / how[k] for k in ("good", "hosts") if k in how}
    with pytest.raises(InputError, match=message) as e:
        clean(tmp_path / "out", [path], **how)
    assert e.value.field == field
    assert set(tmp_path.iterdir()) == before


@needs_extra
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "input must be WARC files that exist; got .*x.warc"),
        (b"hello\n", "input must be WARC files; .*x.warc cannot be read: Unknown archive format"),
        (b"", "input must be WARC files; .*x.warc holds no record"),
    ],
)
def test_an_input_that_is_no_warc_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.warc").write_bytes(content)
    with pytest.raises(InputError, match=message) as e:
        clean(tmp_path / "out", [tmp_path / "x.warc"])
    assert e.value.field == "input"
    assert not list(tmp_path.glob("out*"))


@needs_extra
def test_a_folder_without_a_warc_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"at least one WARC file \(.warc or .warc.gz\); got /"):
        clean(tmp_path / "out", [tmp_path])


@needs_extra
def test_a_damaged_warc_ends_the_run_and_leaves_nothing(tmp_path):
    path = warc(tmp_path, n=3)
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(raw))  # one gzip member, where WARC has one a record
    with pytest.raises(InputError, match=r"cannot be read: .*mended by `warcio recompress`") as e:
        clean(tmp_path / "out", [path])
    assert e.value.field == "input"
    assert not list(tmp_path.glob("out*"))


@needs_extra
def test_a_crawl_of_which_nothing_is_left_is_refused(tmp_path):
    message = r"input: no page is left of 1 records: language 1 \(en\) \(other languages\?\)"
    with pytest.raises(InputError, match=message):
        clean(tmp_path / "out", [warc(tmp_path)], languages=["fi"])
    assert not list(tmp_path.glob("out*"))


@needs_extra
def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"out must be a new folder or .* is neither") as e:
        clean(tmp_path, [warc(tmp_path)])
    assert e.value.field == "out"
    assert (tmp_path / "thesis.tex").exists()


def test_without_the_extra_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(request, "find_spec", lambda name: None if name == "warcio" else name)
    message = r"needs warcio, which is not installed \(pip install 'isoflop\[web\]'\)"
    with pytest.raises(InputError, match=message) as e:
        clean(tmp_path / "out", [tmp_path / "x.warc"])
    assert e.value.field == "input"
    assert not list(tmp_path.iterdir())
