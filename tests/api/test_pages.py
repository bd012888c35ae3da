"""Pages as a browser without scripts gets them."""

import re

import pytest

from store import curves
from store.engine import writing
from store.runs import get_run
from sweeper import attempts, ingest


def get(client, path):
    return client.get(path, headers={"Accept": "text/html"})


def test_an_empty_service_says_how_to_begin(client):
    html = get(client, "/").text
    assert "isoflop sweep submit" in html
    assert "isoflop import" in html


def test_the_index_lists_sweeps_with_state_progress_and_price(client, spec):
    client.post("/v1/sweeps", json=spec)
    html = get(client, "/").text
    for words in ("tiny", "queued", "0 / 5", "<progress", "$0.0"):
        assert words in html


def test_a_sweep_in_progress_refreshes_itself_with_and_without_scripts(client, spec):
    client.post("/v1/sweeps", json=spec)
    html = get(client, "/sweeps/1").text
    assert 'hx-get="/live/sweeps/1"' in html
    assert '<noscript><meta http-equiv="refresh"' in html
    part = client.get("/live/sweeps/1")
    assert "<html" not in part.text
    assert "HX-Refresh" not in part.headers
    client.post("/v1/sweeps/1/cancel")
    assert client.get("/live/sweeps/1").headers["HX-Refresh"] == "true"
    assert "hx-get" not in get(client, "/sweeps/1").text


def test_a_fitted_sweep_shows_law_figures_and_answers(client, answered):
    client.post("/v1/recommendations", json={"fit_id": answered.fit_id, "budget": "3e13FLOP"})
    html = get(client, f"/sweeps/{answered.sweep_id}").text
    for words in ("Approaches side by side", "(trusted)", "Parameters N*", "Flat band", "Cost"):
        assert words in html
    for src in re.findall(r'<img src="([^"]+)"', html):
        picture = client.get(src.replace("&amp;", "&"))
        assert picture.status_code == 200, picture.text
        assert picture.headers["content-type"] == "image/svg+xml"


def test_a_run_whose_losses_were_never_finite_has_no_curve(client, spec, engine, assert_problem):
    client.post("/v1/sweeps", json=spec)
    with writing(engine) as session:
        curves.add_points(session, get_run(session, 1), [{"step": 1, "n_tokens": 9}])
    assert "training.svg" not in get(client, "/runs/1").text
    assert_problem(client.get("/v1/plots/training.svg?run_id=1"), 409, code="no_data")


def test_buttons_do_what_rest_does_and_lead_back(client, spec):
    client.post("/v1/sweeps", json=spec)
    answer = client.post("/sweeps/1/pause", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sweeps/1")
    assert client.get("/v1/sweeps/1").json()["state"] == "paused"
    assert "resume" in get(client, "/sweeps/1").text


def test_fit_recommend_and_launch_by_buttons_alone(client, spec, answer_runs):
    client.post("/v1/sweeps", json=spec)
    answer_runs()
    client.post("/sweeps/1/fit")
    client.post("/fits/1/recommend", data={"budget": "3e13FLOP"})
    answer = client.post("/recommendations/1/launch", follow_redirects=False)
    run = client.get(answer.headers["location"].replace("/runs/", "/v1/runs/")).json()
    assert (run["kind"], run["state"]) == ("final", "queued")
    html = get(client, answer.headers["location"]).text
    assert "Forecast against outcome" in html
    assert "No outcome yet" in html
    again = client.post("/recommendations/1/launch", follow_redirects=False)
    assert again.headers["location"] == answer.headers["location"]


def test_a_study_has_a_page_by_id_and_by_name(client):
    rows = [{"n_params": 1e6, "n_tokens": 2e7, "loss": 3.5}]
    client.post("/v1/studies", json={"name": "mine", "rows": rows, "source": "<b>me</b>"})
    for key in ("1", "mine"):
        html = get(client, f"/studies/{key}").text
        assert "1 measurements, not fitted yet" in html
        assert "&lt;b&gt;me" in html


@pytest.mark.parametrize("path", ["/sweeps/99", "/runs/99", "/studies/nobody", "/nowhere"])
def test_a_wrong_address_is_a_page_for_people_and_a_problem_for_programs(
    client, assert_problem, path
):
    page = get(client, path)
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "Back to the sweeps" in page.text
    assert_problem(client.get(path), 404)


def test_a_refused_question_says_why_on_a_page(client, answered):
    page = client.post(
        f"/fits/{answered.fit_id}/recommend",
        data={"budget": "1e26FLOP"},
        headers={"Accept": "text/html"},
    )
    assert page.status_code == 409
    assert "no fit is supported" in page.text


def test_static_files_are_a_fixed_list(client, assert_problem):
    for name in ("base.css", "pages.css", "htmx.js", "plotly.js"):
        assert client.get(f"/static/{name}").status_code == 200
    for name in ("main.py", "..%2fmain.py", "%2e%2e/main.py"):
        assert client.get(f"/static/{name}").status_code in (404, 422)


def test_a_report_tells_the_whole_story_in_one_file(client, answered, answer_runs):
    ask = {"fit_id": answered.fit_id, "budget": "3e13FLOP"}
    recommendation = client.post("/v1/recommendations", json=ask).json()
    client.post("/v1/launches", json={"recommendation_id": recommendation["id"]})
    report = client.get(f"/v1/sweeps/{answered.sweep_id}/report")
    assert "unsafe-inline" in report.headers["content-security-policy"]
    html = report.text
    for words in ("Plan", "Runs", "Approaches", "Rollout", "Recommendation", "Cost", "Forecast"):
        assert f"<h2>{words}" in html
    assert not re.search(r'(src|href)="(https?:)?//', html)
    assert "<script" not in html


def test_a_sealed_forecast_is_shown_after_the_sweep_was_fitted_again(client, answered):
    budgets = ("3e13FLOP", "4e13FLOP")
    for budget in budgets:
        asked = {"fit_id": answered.fit_id, "budget": budget}
        recommendation = client.post("/v1/recommendations", json=asked).json()
    for max_epochs in (None, 9.0):  # two final runs
        asked = {"recommendation_id": recommendation["id"], "max_epochs": max_epochs}
        assert client.post("/v1/launches", json=asked).status_code == 201
    client.post(f"/sweeps/{answered.sweep_id}/fit")
    for page in (f"/sweeps/{answered.sweep_id}", f"/v1/sweeps/{answered.sweep_id}/report"):
        html = get(client, page).text
        assert html.count("SHA-256 of the forecast") == 2
        assert html.count(f"From fit {answered.fit_id}.") == 1  # not what nobody launched
    drawn = client.get("/v1/plots/allocation.json", params={"fit_id": answered.fit_id + 1}).json()
    assert drawn["final"][0] == pytest.approx(4e13, rel=0.01)  # on the new fit's figures, too
    html = get(client, f"/sweeps/{answered.sweep_id}").text
    assert "launch-1" in html
    assert "launch-2" in html


def test_a_final_run_that_diverged_has_no_loss_and_every_page_says_why(client, engine, answered):
    ask = {"fit_id": answered.fit_id, "budget": "3e13FLOP"}
    recommendation = client.post("/v1/recommendations", json=ask).json()
    made = client.post("/v1/launches", json={"recommendation_id": recommendation["id"]}).json()
    with writing(engine) as session:
        run = get_run(session, made["run_id"])
        attempt = attempts.claim(session, run, worker="w")
        ended = {"status": "diverged", "reason": "loss nan at step 7", "train_seconds": 3.0}
        ingest.conclude(session, run, attempt, ended)
    assert get(client, "/").status_code == 200
    pages = (f"/runs/{run.id}", f"/sweeps/{answered.sweep_id}", "/v1/sweeps/1/report")
    for page in pages:
        assert "The run ended as diverged: loss nan at step 7." in get(client, page).text


def test_a_study_without_a_fit_has_no_report_yet(client, assert_problem):
    rows = [{"n_params": 1e6, "n_tokens": 2e7, "loss": 3.5}]
    client.post("/v1/studies", json={"name": "mine", "rows": rows})
    assert_problem(client.get("/v1/studies/mine/report"), 409, code="no_fit")
