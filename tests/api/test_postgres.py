"""The same service on PostgreSQL: what depends on the database behaves there too."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from store import migrate
from store.engine import make_engine
from tests.databases import empty_url  # noqa: F401  fixture

pytestmark = pytest.mark.postgres


@pytest.fixture
def engine(empty_url):  # noqa: F811
    engine = make_engine(empty_url)
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


# `empty_url` is made for both databases; here only the one that the other tests leave out.
@pytest.mark.parametrize("empty_url", ["postgres"], indirect=True)
def test_fifty_identical_posts_at_once_make_one_sweep(client, spec):
    headers = {"Idempotency-Key": "storm"}
    with ThreadPoolExecutor(50) as pool:
        answers = list(
            pool.map(lambda _: client.post("/v1/sweeps", json=spec, headers=headers), range(50))
        )
    assert {a.status_code for a in answers} == {201}
    assert len({json.dumps(a.json(), sort_keys=True) for a in answers}) == 1
    assert len(client.get("/v1/sweeps").json()["items"]) == 1


@pytest.mark.parametrize("empty_url", ["sqlite", "postgres"], indirect=True)
def test_an_empty_database_asks_to_be_migrated(empty_url, settings, assert_problem):  # noqa: F811
    engine = make_engine(empty_url)
    with TestClient(create_app(engine, settings), base_url="http://localhost") as client:
        answer = client.get("/v1/sweeps")
    assert_problem(answer, 503, type="/problems/schema")
    assert "isoflop migrate" in answer.json()["detail"]
    engine.dispose()


@pytest.mark.parametrize("empty_url", ["postgres"], indirect=True)
def test_the_main_job_on_postgresql(client, answered):
    ask = {"fit_id": answered.fit_id, "budget": "3e13FLOP"}
    recommendation = client.post("/v1/recommendations", json=ask).json()
    launch = client.post("/v1/launches", json={"recommendation_id": recommendation["id"]}).json()
    assert launch["state"] == "queued"
    assert "Forecast against outcome" in client.get(f"/runs/{launch['run_id']}").text
    assert client.get(f"/v1/sweeps/{answered.sweep_id}/report").status_code == 200
    assert client.get("/v1/events?follow=false").text.count("\nid: ") > 10
    assert client.get("/v1/sweeps/2147483647").status_code == 404
    assert client.get("/v1/sweeps/2147483648").status_code == 422
    assert client.get("/v1/studies/2147483648").status_code == 404
