"""Stages: blocks that run over all files before the next stage begins, by datatrove's executor.

MinHash needs four and the quality threshold one more. A stage's finished files are not done again
when an interrupted run is started once more.

Imports the extra `web`: only pipeline.py may import this file, and only once the extra is there.
"""

import contextlib
import io
import json
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import FineWebQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig
from loguru import logger

from trainer.data.web import steps
from trainer.data.web.counts import read_totals
from trainer.data.web.quality import Judges
from trainer.data.web.request import Request

# 14 x 8 hashes of 5-grams, as FineWeb: texts alike to .72 are duplicates with probability 1/2.
MINHASH = MinhashConfig(hash_config=HashConfig(hash_fc="sha1"))
WORDS = steps.Words()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """`counted`: the blocks that appear in the counts, by name; `n_tasks` 0: one for each file."""

    name: str
    before: Sequence[Any] = ()
    counted: dict[str, Any] = field(default_factory=dict)
    after: Sequence[Any] = ()
    n_tasks: int = 0

    @property
    def blocks(self) -> list[Any]:
        measured = [b for step in self.counted.values() for b in (step, steps.Measure())]
        return [*self.before, *measured, *self.after]


def extract(part: Path, request: Request) -> Stage:
    counted = {
        "pages": steps.ReadPages(request.paths),
        "extract": steps.Extract(),
        "language": steps.Language(request.languages),
        "repetition": GopherRepetitionFilter(language=WORDS),
        "gopher": steps.GopherQuality(language=WORDS),
        "fineweb": FineWebQualityFilter(language=WORDS),
    }
    return Stage(name="extract", counted=counted, after=[_writer(part / "texts")])


def duplicates(part: Path) -> list[Stage]:
    """The first document of a cluster in datatrove's order stays."""
    sigs, pairs, remove = (str(part / n) for n in ("signatures", "pairs", "remove"))
    texts = part / "texts"
    signature = MinhashDedupSignature(output_folder=sigs, config=MINHASH, language=WORDS)
    buckets = MinhashDedupBuckets(input_folder=sigs, output_folder=pairs, config=MINHASH)
    cluster = MinhashDedupCluster(input_folder=pairs, output_folder=remove, config=MINHASH)
    return [
        Stage(name="signatures", before=[_reader(texts), signature]),
        Stage(name="pairs", before=[buckets], n_tasks=MINHASH.num_buckets),
        Stage(name="clusters", before=[cluster], n_tasks=1),
        Stage(
            name="duplicates",
            before=[_reader(texts)],
            counted={"duplicates": MinhashDedupFilter(input_folder=remove)},
            after=[_writer(part / "unique")],
        ),
    ]


def score(part: Path, judges: Judges) -> Stage:
    blocks = [_reader(part / "unique"), steps.Score(judges), _writer(part / "scored")]
    return Stage(name="score", before=blocks)


def finish(part: Path, request: Request, least: float | None) -> Stage:
    """`least`: the score to reach; None: there are no scores."""
    quality = {} if least is None else {"quality": steps.TopShare(least)}
    return Stage(
        name="finish",
        before=[_reader(part / ("unique" if least is None else "scored"))],
        counted={**quality, "personal data": steps.Pii()},
        after=[steps.Write(part / "out", request.table)],
    )


def documents(folder: Path) -> Iterator[dict[str, Any]]:
    """What a stage wrote: text, id, metadata."""
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def run(part: Path, stage: Stage, n_files: int, workers: int) -> list[Counter[str]]:
    """The totals of every block, those of earlier, interrupted runs of this stage included."""
    logs = part / "logs" / stage.name
    n_tasks = stage.n_tasks or n_files
    executor = QuietExecutor(
        pipeline=stage.blocks,
        tasks=n_tasks,
        workers=min(workers, n_tasks),
        logging_dir=str(logs),
        start_method="spawn",
    )
    with _quiet(progress=stage.name == "clusters"):
        executor.run()
    return read_totals(logs)


class QuietExecutor(LocalPipelineExecutor):  # type: ignore[misc]
    """Workers keep silent: what they would say is in the counts."""

    def _launch_run_for_rank(self, *args: Any, **kwargs: Any) -> Any:
        logger.disable("datatrove")
        steps.end_with_parent(os.getpid())
        return super()._launch_run_for_rank(*args, **kwargs)


@contextlib.contextmanager
def _quiet(*, progress: bool) -> Iterator[None]:
    """Hide datatrove's log and, if `progress`, a progress bar that cannot be turned off."""
    logger.disable("datatrove")
    hidden = contextlib.redirect_stderr(io.StringIO()) if progress else contextlib.nullcontext()
    try:
        with warnings.catch_warnings(), hidden:
            # Python 3.12 warns of any fork while numpy's threads exist; the child uses no numpy
            warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
            yield
    finally:
        logger.enable("datatrove")


def _reader(folder: Path) -> Any:
    return JsonlReader(str(folder), compression=None, glob_pattern="*.jsonl")


def _writer(folder: Path) -> Any:
    return JsonlWriter(str(folder), compression=None)
