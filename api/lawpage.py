"""The part of a page that a sweep and a study share: figures, law, answers, launches."""

from typing import Any
from urllib.parse import urlencode

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.figures import CAPTIONS, WIDE, kinds_of
from api.measured import rows_of
from api.routes import fits, launches, recommendations
from reports.document import Figure, Section
from reports.sections import answer, law, verdict
from store import conclusions
from store.answers import Launch, RecommendationRow

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
    found = conclusions.list_recommendations(session, fit_id=fit.id, limit=N_ANSWERS)
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
    made = launch_of(session, row.id)
    launch = launches.show(session, made).model_dump(mode="json") if made else None
    sections = [answer.recommendation(shown), answer.cost(shown["cost"])]
    if launch:
        sections.append(verdict.forecast(launch))
    return {"id": row.id, "sections": sections, "launch": launch, "launchable": launchable}


def launch_of(session: Session, recommendation_id: int) -> Launch | None:
    query = select(Launch).where(Launch.recommendation_id == recommendation_id).limit(1)
    return session.scalars(query).one_or_none()
