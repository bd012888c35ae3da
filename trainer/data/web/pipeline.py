"""Web pages into clean text: `clean` runs the stages in their order and counts what they leave.

WARC → text → language → repetition → Gopher's and FineWeb's rules → near duplicates (MinHash) →
[quality] → personal data → domain labels. Imports datatrove only once `clean` is called.
"""

import heapq
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from fitting.errors import InputError
from trainer.data.web import quality
from trainer.data.web.counts import Counts, StepCount, Totals, domain_counts, step_counts
from trainer.data.web.request import COUNTS, Request, read_request

N_SAMPLE = 5000  # texts of a kind that a classifier learns from
MIN_HALF = 5  # texts of each half of the crawl
MARK = "fingerprint"  # in `part`: what was asked

Progress = Callable[[str], None]


def clean(
    out: Path,
    inputs: Sequence[Path],
    *,
    languages: Sequence[str] = ("en",),
    good: Path | None = None,
    quality_share: float | None = None,
    hosts: Path | None = None,
    workers: int = 1,
    on_progress: Progress = lambda _: None,
) -> Counts:
    """Write `out`/NNNNN.jsonl.gz, one for each input, and counts.json, all or nothing.

    The same pages give the same bytes, whatever `workers` is, unless a page takes longer than
    `steps.TIMEOUT_S`. A run that was stopped goes on where it was if it is asked for the same.

    Args:
        out: a new folder; the result of an earlier cleaning there is replaced at the end.
        inputs: WARC files, or folders with some.
        languages: codes of the languages to keep, such as en.
        good: texts that a quality classifier compares with the crawl; None: no classifier.
        quality_share: the share of documents with the highest scores that stays; default .5.
        hosts: YAML, host suffix → domain; None: `domains.SUFFIXES`.
        workers: processes; more than there are inputs are idle.

    Raises:
        InputError: a value out of range, an unreadable input, or no page left.
    """
    request = read_request(
        out,
        inputs,
        languages=languages,
        good=good,
        quality_share=quality_share,
        hosts=hosts,
        workers=workers,
    )
    part = out.with_name(out.name + ".part")
    _open(part, request.fingerprint)
    try:
        counts = _run(part, request, on_progress)
    except InputError:
        shutil.rmtree(part)
        raise
    (part / "out" / COUNTS).write_text(json.dumps(counts.to_dict(), indent=2) + "\n")
    (
        part / MARK
    ).unlink()  # killed from here on: the next run starts afresh, not with half a result
    shutil.rmtree(out, ignore_errors=True)
    (part / "out").replace(out)
    shutil.rmtree(part)
    return counts


def _open(part: Path, fingerprint: str) -> None:
    """Keep what an interrupted run with the same fingerprint left there, else start afresh."""
    mark = part / MARK
    if not mark.is_file() or mark.read_text() != fingerprint:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        mark.write_text(fingerprint)
    (part / "out").mkdir(exist_ok=True)


def _run(part: Path, request: Request, on_progress: Progress) -> Counts:
    from trainer.data.web import stages  # noqa: PLC0415  the extra `web`

    found: list[StepCount] = []

    def run(stage: stages.Stage) -> Sequence[Totals]:
        on_progress(stage.name)
        totals = stages.run(part, stage, len(request.paths), request.workers)
        if stage.counted:
            found.extend(step_counts(list(stage.counted), totals[len(stage.before) :], found))
            _check_left(found)
        return totals

    run(stages.extract(part, request))
    for stage in stages.duplicates(part):
        run(stage)
    least = None
    if request.good is not None:
        on_progress("classifier")
        run(stages.score(part, judges(request.good, _sample(part / "unique"))))
        scores = [d["metadata"]["score"] for d in stages.documents(part / "scored")]
        least = quality.threshold(scores, request.quality_share)
    written = run(stages.finish(part, request, least))[-1]
    return Counts(steps=tuple(found), domains=domain_counts(written))


def judges(good: Sequence[str], crawl: Sequence[Sequence[str]]) -> quality.Judges:
    """Classifiers for the two halves of the crawl. `crawl`: texts of half 0 and of half 1."""
    if min(map(len, crawl)) < MIN_HALF:
        raise InputError(
            f"good: a classifier needs at least {MIN_HALF} pages in each half of the crawl; got "
            f"{len(crawl[0])} and {len(crawl[1])} (give more pages, or leave good out)",
            field="good",
        )
    best = heapq.nsmallest(N_SAMPLE, good, key=quality.rank)
    return quality.Judges((quality.train(best, crawl[1]), quality.train(best, crawl[0])))


def _sample(folder: Path) -> tuple[list[str], list[str]]:
    """Texts of both halves, at most N_SAMPLE of each, chosen by their ids alone."""
    from trainer.data.web.stages import documents  # noqa: PLC0415

    def of_half(h: int) -> list[str]:
        found = ((d["id"], d["text"]) for d in documents(folder))
        ranked = ((quality.rank(name), text) for name, text in found if quality.half(name) == h)
        return [text for _, text in heapq.nsmallest(N_SAMPLE, ranked)]

    return of_half(0), of_half(1)


def _check_left(found: Sequence[StepCount]) -> None:
    if found[-1].n_out:
        return
    losses = Counts(steps=tuple(found)).losses()
    raise InputError(
        f"input: no page is left of {found[0].n_in} records: {losses} (other languages?)",
        field="input",
    )
