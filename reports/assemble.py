"""The report of a sweep, or of a table of somebody's runs, from the JSON that REST answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports import format as f
from reports.document import Document, Figure, Section
from reports.sections import answer, law, sweep, verdict

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A recommendation, and the launches that came of it."""

    recommendation: Json
    launches: Sequence[Json] = ()


def of_sweep(
    asked: Json,
    runs: Sequence[Json],
    *,
    fit: Json | None = None,
    figures: Sequence[Figure] = (),
    answers: Sequence[Answer] = (),
    provenance: Sequence[tuple[str, str]] = (),
) -> Document:
    """Plan, runs, law, answers, and forecasts against outcomes.

    Args:
        asked: the sweep.
        runs: all of them, also those that gave nothing.
        fit: the law that is shown; None before there is one.
    """
    progress = asked["progress"]
    return Document(
        title=f"{asked['name']}: what to train",
        subtitle=f"Sweep {asked['id']}, {asked['state']}; {progress['n_over']} of "
        f"{progress['n_runs']} runs over, {f.power(progress['flops_done'])} FLOP.",
        sections=(sweep.plan(asked), sweep.runs(runs), *_law(fit, figures), *_answers(answers)),
        provenance=tuple(provenance),
    )


def of_table(
    name: str,
    fit: Json,
    *,
    figures: Sequence[Figure] = (),
    answers: Sequence[Answer] = (),
    provenance: Sequence[tuple[str, str]] = (),
) -> Document:
    """Law and answers from measurements that were made elsewhere."""
    return Document(
        title=f"{name}: what the runs say",
        subtitle=f"{fit['n_measurements']} measurements.",
        sections=(*_law(fit, figures), *_answers(answers)),
        provenance=tuple(provenance),
    )


def _law(fit: Json | None, figures: Sequence[Figure]) -> tuple[Section, ...]:
    if fit is None:
        return (Section(title="Law", text=("Not fitted yet.",)),)
    drawn = (Section(title="Figures", figures=tuple(figures)),) if figures else ()
    return (*drawn, *law.law(fit))


def _answers(answers: Sequence[Answer]) -> tuple[Section, ...]:
    sections: list[Section] = []
    for given in answers:
        sections.append(answer.recommendation(given.recommendation))
        if given.recommendation.get("cost"):
            sections.append(answer.cost(given.recommendation["cost"]))
        sections.extend(verdict.forecast(launch) for launch in given.launches)
    return tuple(sections)
