"""The steps as datatrove's blocks: its own, set up for no download, and thin ones around ours.

Imports the extra `web`: only pipeline.py may import this file, and only once the extra is there.
"""

import gzip
import json
import logging
import multiprocessing
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import multiprocess
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import GopherQualityFilter
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.utils.word_tokenizers import WordTokenizer

from trainer.data.web.domains import domain_of
from trainer.data.web.language import language_of, verdict
from trainer.data.web.pages import read_pages
from trainer.data.web.quality import Judges

TIMEOUT_S = 60.0  # for one page, and for trafilatura's import on a busy machine
EMAIL, IP = "email@example.com", "192.0.2.1"  # reserved for examples: RFC 2606, RFC 5737
N_STOP_WORDS = 2


@dataclass(frozen=True)  # equal instances share datatrove's cache of the last texts' words
class Words(WordTokenizer):  # type: ignore[misc]  # datatrove has no types
    """Runs of letters and runs of signs, where datatrove would load spaCy or NLTK's models."""

    def word_tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+(?:['’]\w+)*|[^\w\s]+", text)

    def sent_tokenize(self, text: str) -> list[str]:
        return re.split(r"(?<=[.!?])\s+", text)

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [m.span() for m in re.finditer(r"[^.!?]+[.!?]*", text)]


class ReadPages(PipelineStep):  # type: ignore[misc]
    """The HTML pages of WARC files; one task reads every `world_size`-th file."""

    name, type = "WARC", "READER"

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__()
        self.paths = list(paths)

    def run(self, _data: Any = None, rank: int = 0, world_size: int = 1) -> Any:
        for path in self.paths[rank::world_size]:
            for page in read_pages(path):
                self.stat_update("documents")
                self.stat_update("bytes", value=page.n_bytes)
                if page.reason:
                    self.stat_update(f"dropped_{page.reason}")
                else:
                    yield Document(text=page.html, id=page.id, metadata={"url": page.url})


class Measure(PipelineStep):  # type: ignore[misc]
    """Counts what passes; changes nothing."""

    name, type = "measure", "COUNT"

    def run(self, data: Any, _rank: int = 0, _world_size: int = 1) -> Any:
        for doc in data:
            self.stat_update("documents")
            self.stat_update("bytes", value=len(doc.text.encode()))
            yield doc


class Extract(Trafilatura):  # type: ignore[misc]
    """Main text in a process of its own, so that a page that hangs or crashes lxml costs itself."""

    def __init__(self) -> None:
        # deduplicate would forget paragraphs that other pages had: the order would matter
        super().__init__(favour_precision=True, timeout=TIMEOUT_S, deduplicate=False)

    def extract(self, text: str) -> Any:
        end_with_parent(os.getpid())
        logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # we count what it reports
        try:
            return super().extract(text)
        except Exception as e:  # noqa: BLE001  the block counts an exception that is returned
            return RuntimeError(str(e))


@cache
def end_with_parent(_pid: int) -> None:
    """Workers and the processes for extraction would outlive a main process that is killed, and
    write on beside the next run. Once a process: a forked one inherits the cache, not the thread.
    """
    parent = multiprocessing.parent_process() or multiprocess.parent_process()
    if parent is not None:
        Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


class Language(BaseFilter):  # type: ignore[misc]
    name = "language"

    def __init__(self, wanted: Sequence[str]) -> None:
        super().__init__()
        self.wanted = tuple(wanted)

    def filter(self, doc: Any) -> Any:
        doc.metadata["language"], p = language_of(doc.text)
        reason = verdict(doc.metadata["language"], p, self.wanted)
        return (False, reason) if reason else True


class GopherQuality(GopherQualityFilter):  # type: ignore[misc]
    """Its list of stop words is English; pages in other languages are not held to it."""

    def filter(self, doc: Any) -> Any:
        self.min_stop_words = N_STOP_WORDS if doc.metadata["language"] == "en" else 0
        return super().filter(doc)


class Score(PipelineStep):  # type: ignore[misc]
    name, type = "score", "QUALITY"

    def __init__(self, judges: Judges) -> None:
        super().__init__()
        self.judges = judges

    def run(self, data: Any, _rank: int = 0, _world_size: int = 1) -> Any:
        for doc in data:
            doc.metadata["score"] = self.judges.score(doc.id, doc.text)
            yield doc


class TopShare(BaseFilter):  # type: ignore[misc]
    name = "quality"

    def __init__(self, least: float) -> None:
        super().__init__()
        self.least = least

    def filter(self, doc: Any) -> Any:
        return True if doc.metadata["score"] >= self.least else (False, "below_top_share")


class Pii(PIIFormatter):  # type: ignore[misc]
    """E-mail and public IPv4 addresses become one example address each; counts the documents.

    Names, telephone numbers and IPv6 addresses stay: no rule finds them without false alarms.
    """

    def __init__(self) -> None:
        super().__init__(email_replacement=EMAIL, ip_replacement=IP)

    def format(self, text: str) -> str:
        after = str(super().format(text))
        self.stat_update("changed", value=int(after != text))
        return after


class Write(PipelineStep):  # type: ignore[misc]
    """JSON lines; gzip without a time of day, so that the same pages give the same bytes."""

    name, type = "write", "WRITER"

    def __init__(self, folder: Path, table: dict[str, str]) -> None:
        super().__init__()
        self.folder, self.table = folder, table

    def run(self, data: Any, rank: int = 0, _world_size: int = 1) -> Any:
        path = self.folder / f"{rank:05d}.jsonl.gz"
        with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as out:
            for doc in data:
                domain = domain_of(doc.metadata["url"], self.table)
                row = {"text": doc.text, "domain": domain, "id": doc.id, "url": doc.metadata["url"]}
                row |= {k: doc.metadata.get(k) for k in ("language", "score")}
                out.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                self.stat_update(f"domain/{domain}")
                self.stat_update(f"domain_bytes/{domain}", value=len(doc.text.encode()))
                yield doc
