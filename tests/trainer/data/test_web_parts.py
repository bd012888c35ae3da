"""The parts of the web pipeline that need nothing of the extra, and pages."""

import json
import pickle
from importlib.util import find_spec

import pytest

from fitting.errors import InputError
from tests.trainer.data.web_pages import warc_record, write_warc
from trainer.data.web.counts import Counts, StepCount, domain_counts, read_totals, step_counts
from trainer.data.web.domains import SUFFIXES, domain_of, read_table
from trainer.data.web.language import verdict

needs_extra = pytest.mark.skipif(
    find_spec("warcio") is None, reason="extra: pip install 'isoflop[web]'"
)


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("http://en.wikipedia.org/wiki/A", "encyclopedia"),
        ("https://WIKIPEDIA.org./", "encyclopedia"),
        ("http://notwikipedia.org/", "web"),
        ("http://www.cs.ox.ac.uk:80/", "academic"),
        ("http://1.2.3.4/", "web"),
        ("http://[broken", "web"),
        ("", "web"),
    ],
)
def test_a_host_has_the_domain_of_its_end(url, domain):
    assert domain_of(url, SUFFIXES) == domain


def test_the_longest_end_wins(tmp_path):
    path = tmp_path / "hosts.yaml"
    path.write_text("org: charity\nnews.example.org: news\nexample.org: shop\n")
    table = read_table(path)
    hosts = ("a.org", "example.org", "www.news.example.org")
    assert [domain_of(f"http://{h}/", table) for h in hosts] == ["charity", "shop", "news"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must map host suffixes to domains, such as .*; .*hosts.yaml holds nothing"),
        ("- a\n", "must map host suffixes to domains.* holds list"),
        ("a: [", "domains must be a YAML file; .*hosts.yaml: while parsing"),
        (
            "http://a.com: web\n",
            "must be the end of a host name in lower case.* has 'http://a.com'",
        ),
        ("no: web\n", "must be the end of a host name in lower case, .* has False"),
        ("a.com: a/b\n", "must be a name of a-z, 0-9, - and _; .* has 'a/b' for a.com"),
        ("a.com: {b: c}\n", r"must be a name of a-z, .* has {'b': 'c'} for a.com"),
    ],
)
def test_a_table_of_hosts_that_is_none_is_refused(tmp_path, content, message):
    path = tmp_path / "hosts.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as e:
        read_table(path)
    assert e.value.field == "domains"


def test_a_language_is_dropped_by_its_name_and_a_doubtful_one_as_such():
    assert verdict("en", 0.9, ["en", "de"]) == ""
    assert verdict("fr", 0.9, ["en", "de"]) == "fr"
    assert verdict("en", 0.6, ["en", "de"]) == "unsure"


def step(name, n_in, n_out, **dropped):
    return StepCount(
        step=name, n_in=n_in, bytes_in=10 * n_in, n_out=n_out, bytes_out=10 * n_out, dropped=dropped
    )


def test_a_document_lost_without_a_reason_is_an_error():
    with pytest.raises(RuntimeError, match="step a lost documents without a reason: 3 in, 1 out"):
        step("a", 3, 1, short=1)
    with pytest.raises(RuntimeError, match="got lost between the steps a and b"):
        Counts(steps=(step("a", 3, 2, short=1), step("b", 1, 1)))


def test_statistics_of_the_tasks_are_added_and_named(tmp_path):
    (tmp_path / "stats").mkdir()
    blocks = [
        {"documents": 4, "bytes": {"total": 90, "mean": 22.5}, "dropped_empty": 1},
        {"documents": 3, "bytes": 60},
        {"total": 3, "timeout": 1},
        {"documents": 2, "bytes": 40},
        {"domain/web": 2, "domain_bytes/web": 40},
    ]
    for i in range(2):
        stats = [{"name": "x", "stats": b} for b in blocks]
        (tmp_path / f"stats/{i:05d}.json").write_text(json.dumps(stats))
    totals = read_totals(tmp_path)
    found = step_counts(["pages", "extract"], totals, [])
    assert [(s.n_in, s.n_out, s.bytes_out) for s in found] == [(8, 6, 120), (6, 4, 80)]
    assert [s.dropped for s in found] == [{"empty": 2}, {"timeout": 2}]
    counts = Counts(steps=tuple(found), domains=domain_counts(totals[-1]))
    assert counts.losses() == "pages 2 (empty), extract 2 (timeout)"
    assert counts.to_dict()["domains"] == {"web": {"n": 4, "bytes": 80}}


def test_an_error_of_a_worker_keeps_its_field():
    assert pickle.loads(pickle.dumps(InputError("bad", field="input"))).field == "input"


@needs_extra
def test_a_page_is_decoded_as_it_declares(tmp_path):
    from trainer.data.web.pages import read_pages

    text = "<html><meta charset='{}'><p>Brücke"
    kind = "text/html"
    pages = [
        ("http://a/1", text.format("latin-1").encode("latin-1"), "200 OK", kind),
        ("http://a/2", text.encode(), "200 OK", "text/html; charset=nonsense"),
        ("http://a/3", b"\xef\xbb\xbf" + text.encode(), "200 OK", ""),
        ("http://a/4", b"just text", "200 OK", ""),
        ("http://a/5", text.encode(), "200 OK", "text/html; charset=undefined"),
        ("http://a/6", text.format("idna").encode(), "200 OK", kind),
    ]
    write_warc(tmp_path / "a.warc.gz", pages)
    found = list(read_pages(tmp_path / "a.warc.gz"))
    assert [p.html[-6:] for p in found] == ["Brücke"] * 3 + [""] + ["Brücke"] * 2
    assert [p.reason for p in found] == ["", "", "", "not_html", "", ""]
    assert found[2].html.startswith("<html>")


@needs_extra
def test_a_record_that_ends_too_early_or_is_no_response_is_no_page(tmp_path):
    from trainer.data.web.pages import read_pages

    page = ("http://a/1", b"<html>" + b"x" * 5000)
    request = warc_record(0, *page, type_="request")
    (tmp_path / "b.warc").write_bytes(request + warc_record(1, *page)[:-1000])
    reasons = [p.reason for p in read_pages(tmp_path / "b.warc")]
    assert reasons == ["request_record", "cut_off"]
