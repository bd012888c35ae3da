"""A small crawl, written for the tests: WARC files of pages whose fate is known beforehand."""

import gzip
import json
import random
from importlib.util import find_spec

import pytest

needs_extra = pytest.mark.skipif(
    find_spec("datatrove") is None, reason="extra: pip install 'isoflop[web]'"
)

SHARED = "the a our this that every"
VERBS = """carried followed described discovered repaired visited measured painted remembered
crossed collected explained opened watched counted improved"""
ADJECTIVES = "old quiet bright narrow famous wooden careful distant green heavy gentle"
NATURE = """river mountain garden forest winter orchard island valley meadow ocean castle
harbour library museum lantern village bridge engine letter history"""
SHOP = """discount basket voucher delivery customer bargain checkout brand price shipping
offer warranty catalogue retailer refund invoice"""
GERMAN = """Fluss Berg Garten Lehrer Markt Wald Brief Winter Bahnhof Arzt Turm Tisch Zug Wagen
Stein Hafen Vogel"""


OK = "200 OK"
HOSTS = ("en.wikipedia.org", "www.mit.edu", "example.com")


def sentence(rng, nouns=NATURE):
    def pick(words):
        return rng.choice(words.split())

    def thing():
        adjective = [pick(ADJECTIVES)] if rng.random() < 0.6 else []
        return [pick(SHARED), *adjective, pick(nouns)]

    words = [*thing(), pick(VERBS), *thing(), pick("with of to and have")]
    words += thing()
    if rng.random() < 0.5:
        words += [pick("because while that"), *thing(), pick(VERBS), *thing()]
    return " ".join(words).capitalize() + "."


def german(rng):
    a, b, c = rng.sample(GERMAN.split(), 3)
    n, verb = rng.randint(2, 99), rng.choice(["beschrieb", "entdeckte", "besuchte", "zählte"])
    return f"Nach {n} Tagen {verb} der {a} den {b}, weil kein {c} für uns übrig war."


def paragraphs(rng, make=sentence, n=6, **how):
    return [" ".join(make(rng, **how) for _ in range(5)) for _ in range(n)]


def short(rng):
    """Two words less than Gopher's least, the heading not counted."""
    return " ".join(paragraphs(rng, n=2)[0].split()[:47]) + "."


def html(title, texts):
    body = "".join(f"<p>{t}</p>" for t in texts)
    return (
        f"<!doctype html><html><head><title>{title}</title></head><body><nav><a href='/'>Home</a>"
        f"</nav><article><h1>{title}</h1>{body}</article><footer>Imprint</footer></body></html>"
    )


def write_warc(path, pages, first=0):
    """`pages`: (url, body bytes, and if they differ from the usual: status, content type)."""
    with path.open("wb") as stream:
        for i, page in enumerate(pages, first):
            stream.write(gzip.compress(warc_record(i, *page), mtime=0))  # one member a record


def warc_record(i, url, body, status=OK, kind="text/html; charset=utf-8", *, type_="response"):
    http = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n\r\n".encode() + body
    head = [
        "WARC/1.0",
        f"WARC-Type: {type_}",
        f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{i:012d}>",
        f"WARC-Target-URI: {url}",
        "WARC-Date: 2026-01-01T00:00:00Z",
        "Content-Type: application/http; msgtype=response",
        f"Content-Length: {len(http)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + http + b"\r\n\r\n"


def crawl(folder):
    """60 good pages, half of them about nature; a file of what must go (`FATE`); one with no page."""
    rng = random.Random(0)
    good = []
    for i in range(60):
        texts = paragraphs(rng, nouns=NATURE if i % 2 else SHOP)
        if i < 12:
            texts[1] += f" Write to bob{i}@mail.com or to the machine at 8.8.4.{i}."
        good.append((f"http://{HOSTS[i % 3]}/{i}", html(f"Page {i}", texts).encode()))
    write_warc(folder / "a.warc.gz", good)
    write_warc(folder / "b.warc.gz", [*_copies(good[:50:5]), *_german(rng), *_junk(rng)], 1000)
    gone = ("http://a.com/gone", b"<html>Gone</html>", "404 Not Found", "text/html")
    write_warc(folder / "c.warc.gz", [gone], 2000)


def _copies(pages):
    end = b"<p>Printed from the site.</p></article>"
    return [(url + "/print", body.replace(b"</article>", end)) for url, body in pages]


def _german(rng):
    pages = [html("Seite", paragraphs(rng, german)) for _ in range(9)]
    return [
        *((f"http://a.de/{i}", page.encode()) for i, page in enumerate(pages[1:])),
        ("http://a.de/u", pages[0].encode("latin-1"), OK, "text/html; charset=iso-8859-1"),
    ]


def _junk(rng):
    spam = html("Buy", ["Buy the best offer of this year from us now. " * 9] * 4)
    lists = [html("List", [sentence(rng)[:-1] for _ in range(40)]) for _ in range(2)]
    return [
        *((f"http://spam.com/{i}", spam.encode()) for i in range(5)),
        *((f"http://short.com/{i}", html("Short", [short(rng)]).encode()) for i in range(3)),
        *((f"http://list.com/{i}", page.encode()) for i, page in enumerate(lists)),
        ("http://a.com/p.png", b"\x89PNG", OK, "image/png"),
        ("http://a.com/blank", b" \n", OK, "text/html"),
        ("http://a.com/bytes", b"<html>\xff\xfe\xfa</html>", OK, "text/html"),
        ("http://a.com/empty", b"<html><body></body></html>", OK, "text/html"),
    ]


# With languages en and a quality share of a half; the steps in their order.
FATE = {
    "pages": {"empty": 1, "not_html": 1, "status_404": 1, "unknown_encoding": 1},
    "extract": {"no_text": 1},
    "language": {"de": 9},
    "repetition": {"dup_line_frac": 5},
    "gopher": {"gopher_short_doc": 3},
    "fineweb": {"line_punct_ratio": 2},
    "duplicates": {"near_duplicate": 10},
    "quality": {"below_top_share": 30},
    "personal data": {},
}


def good_texts(path):
    """Twenty texts about nature, as JSON lines."""
    rng = random.Random(1)
    texts = ("\n".join(paragraphs(rng)) for _ in range(20))
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    return path
