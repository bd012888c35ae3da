"""What the buttons of the pages do: the same as the REST calls, then back to the page."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from api.deps import EngineDep, Id, SettingsDep, Writing
from api.routes import fits, launches, recommendations, studies, sweeps
from store import conclusions
from store.engine import reading

router = APIRouter(include_in_schema=False)


def _back(address: str) -> RedirectResponse:
    return RedirectResponse(address, status_code=303)


@router.post("/sweeps/{sweep_id}/fit")
def fit_sweep(sweep_id: Id, engine: EngineDep) -> RedirectResponse:
    fits.create_fit(fits.FitIn(sweep_id=sweep_id), engine)
    return _back(f"/sweeps/{sweep_id}")


@router.post("/studies/{study}/fit")
def fit_study(study: studies.StudyKey, engine: EngineDep) -> RedirectResponse:
    with reading(engine) as session:
        study_id = studies.find(session, study).id
    fits.create_fit(fits.FitIn(study_id=study_id), engine)
    return _back(f"/studies/{study_id}")


@router.post("/sweeps/{sweep_id}/{verb}")
def control_sweep(sweep_id: Id, verb: sweeps.Verb, session: Writing) -> RedirectResponse:
    sweeps.control_sweep(sweep_id, verb, session)
    return _back(f"/sweeps/{sweep_id}")


@router.post("/fits/{fit_id}/recommend")
def recommend(
    fit_id: Id, engine: EngineDep, budget: Annotated[str, Form(min_length=1, max_length=100)]
) -> RedirectResponse:
    made = recommendations.create_recommendation(
        recommendations.RecommendIn(fit_id=fit_id, budget=budget), engine
    )
    with reading(engine) as session:
        fit = conclusions.get_fit(session, fit_id)
        home = f"/sweeps/{fit.sweep_id}" if fit.sweep_id else f"/studies/{fit.study_id}"
    return _back(f"{home}#recommendation-{made.id}")


@router.post("/recommendations/{recommendation_id}/launch")
def launch(
    recommendation_id: Id, response: Response, session: Writing, settings: SettingsDep
) -> RedirectResponse:
    asked = launches.LaunchIn(recommendation_id=recommendation_id)
    made = launches.create_launch(asked, response, session, settings, key=str(uuid.uuid4()))
    return _back(f"/runs/{made.run_id}")
