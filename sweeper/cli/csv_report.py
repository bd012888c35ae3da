"""A report of somebody's runs from a CSV: all approaches, their figures, and answers. No service."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fitting.analysis import Analysis, analyse
from fitting.costs.budget import parse_budget
from fitting.errors import RefusalError
from fitting.isoflop import isoflop as find_minima
from fitting.measurements import Measurements
from reports import allocation, frontier, isoflop, rollout
from reports.assemble import Answer, of_table
from reports.build import build
from reports.document import Figure
from reports.provenance import commit
from reports.render import figure_of, to_bytes


def csv_report(csv: Path, *, budgets: Sequence[str], n_bootstrap: int, seed: int) -> str:
    """HTML.

    Raises:
        InputError: the CSV or a budget cannot be meant.
        RefusalError: the data cannot be read in any way, or cannot answer for a budget.
    """
    m = Measurements.from_csv(csv)
    found = analyse(m, n_bootstrap=n_bootstrap, seed=seed)
    about = f"{len(m)} measurements of {csv.name}; isoflop {commit()}."
    document = of_table(
        csv.stem,
        found.to_dict(),
        figures=_figures(found, about),
        answers=[Answer(recommendation=_answer(found, text)) for text in budgets],
        provenance=(("isoflop", commit()), ("Source", csv.name)),
    )
    return build(document)


def _figures(found: Analysis, about: str) -> tuple[Figure, ...]:
    m = found.measurements
    drawings: tuple[tuple[str, Callable[[], Any]], ...] = (
        (
            "Loss against size at each budget.",
            lambda: isoflop.plot(isoflop.curves(m, find_minima(m)), unit=m.loss_unit),
        ),
        (
            "Loss against compute.",
            lambda: frontier.plot(frontier.curves(found), unit=m.loss_unit),
        ),
        ("Optimal size and tokens.", lambda: allocation.plot(allocation.curves(found))),
        ("Errors on budgets held out.", lambda: rollout.plot(rollout.curves(found))),
    )
    figures = []
    for caption, draw in drawings:
        try:
            axes = draw()
        except RefusalError:  # no budgets: the tables say what could be concluded
            continue
        svg = to_bytes(figure_of(axes[0] if isinstance(axes, tuple) else axes), "svg").decode()
        figures.append(Figure(svg=svg, caption=f"{caption} {about}"))
    return tuple(figures)


def _answer(found: Analysis, text: str) -> dict[str, Any]:
    budget = parse_budget(text).to_flops()
    answer = found.recommend(budget.flops.value)
    if answer.verdict == "refused":
        reasons = tuple(note.message for note in answer.warnings)
        raise RefusalError(reasons[0], code=answer.warnings[0].code, reasons=reasons)
    cost = budget.estimate(n_params=answer.n_params, n_tokens=answer.n_tokens)
    return answer.to_dict() | {"cost": cost.to_dict()}
