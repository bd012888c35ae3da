"""The part of a page that a sweep and a study share: figures, law, answers, launches."""

from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from api.figures import CAPTIONS, WIDE, kinds_of
from api.measured import rows_of
from api.routes import fits, launches, recommendations
from reports.document import Figure, Section
from reports.sections import answer, law, verdict
from store import conclusions
from store.answers import FitRow, RecommendationRow

N_ANSWERS = 20
Json = dict[str, Any]


def law_of(session: Session, *, sweep_id: int | None = None, study_id: int | None = None) -> Json:
    """Template values: the newest fit of a sweep or study, and what was made of it."""
    source = {"sweep_id": sweep_id} if sweep_id else {"study_id": study_id}
    rows = conclusions.list_fits(session, limit=1, **source)
    values: Json = {
        "here": f"/sweeps/{sweep_id}" if sweep_id else f"/studies/{study_id}",
        "n_measurements": len(rows_of(session, **source)),
        "fit": None,
        "law": [],
        "answers": [],
    }
    if not rows:
        return values
    fit = fits.show(rows[0])
    found = answers_of(session, rows[0])
    return values | {
        "fit": fit,
        "law": [_figures(fit.id, fit.law), *law.law(fit.model_dump(mode="json"))],
        "answers": [_answer(session, row, launchable=bool(sweep_id)) for row in found],
    }


def _figures(fit_id: int, law_name: str) -> Section:
    query = urlencode({"fit_id": fit_id})
    figures = tuple(
        Figure(src=f"/v1/plots/{kind}.svg?{query}", caption=CAPTIONS[kind], wide=kind in WIDE)
        for kind in kinds_of(law_name)
    )
    return Section(title=f"Law (fit {fit_id})", figures=figures)


def _answer(session: Session, row: RecommendationRow, *, launchable: bool) -> Json:
    shown = recommendations.show(row).model_dump(mode="json")
    made = launches_of(session, row.id)
    sections = [answer.recommendation(shown), answer.cost(shown["cost"])]
    sections += [verdict.forecast(launch) for launch in made]
    return {"id": row.id, "sections": sections, "launches": made, "launchable": launchable}


def answers_of(session: Session, fit: FitRow) -> list[RecommendationRow]:
    """What the newest fit answered; and whatever was launched, for a sealed forecast is shown
    beside its outcome whichever fit it came from. Newest first."""
    newest = conclusions.list_recommendations(session, fit_id=fit.id, limit=N_ANSWERS)
    launched = conclusions.list_launched(session, sweep_id=fit.sweep_id, study_id=fit.study_id)
    found = {row.id: row for row in (*newest, *launched)}
    return [found[key] for key in sorted(found, reverse=True)]


def launches_of(session: Session, recommendation_id: int) -> list[Json]:
    made = conclusions.launches_of(session, recommendation_id)
    return [launches.show(session, row).model_dump(mode="json") for row in made]
