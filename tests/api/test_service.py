"""What every request passes, health, metrics, events."""

import re

import pytest
from fastapi.testclient import TestClient

from api.main import create_app, create_app_from_settings
from store import leases
from store.engine import writing


def test_an_unknown_address_is_a_problem(client, assert_problem):
    assert_problem(client.get("/v1/nowhere"), 404)
    assert_problem(client.delete("/v1/sweeps"), 405)


def test_other_hosts_are_not_served(client, assert_problem):
    answer = client.get("/healthz", headers={"Host": "evil.example"})
    assert_problem(answer, 421)
    assert "ISOFLOP_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["localhost:80", "127.0.0.1:4321", "[::1]:80", "LOCALHOST"])
def test_local_hosts_are_served(client, host):
    assert client.get("/healthz", headers={"Host": host}).json() == {"status": "alive"}


def test_forms_of_other_sites_are_not_accepted(client, assert_problem):
    answer = client.post("/v1/sweeps/1/pause", headers={"Origin": "http://evil.example"})
    assert_problem(answer, 403)


def test_a_huge_body_is_refused_with_and_without_its_length(engine, settings, assert_problem):
    app = create_app(engine, settings, max_body_bytes=1000)
    with TestClient(app, base_url="http://localhost") as client:
        big = b'{"name": "' + b"x" * 2000 + b'"}'
        json = {"Content-Type": "application/json"}
        assert_problem(client.post("/v1/sweeps", content=big, headers=json), 413)
        parts = (big[i : i + 100] for i in range(0, len(big), 100))
        assert_problem(client.post("/v1/sweeps", content=parts, headers=json), 413)
        assert_problem(client.post("/v1/studies?name=x", content=iter([big])), 413)


def test_pages_may_load_only_from_here(client):
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_not_ready_says_why_and_ready_says_so(client, engine, assert_problem):
    answer = client.get("/readyz")
    assert_problem(answer, 503)
    assert "isoflop work" in answer.json()["detail"]
    with writing(engine) as session:
        leases.acquire(session, "dispatcher", "me", watch=leases.Watch(), ttl_s=10)
    assert client.get("/readyz").json()["checks"] == {"database": "ok", "dispatcher": "ok"}


def test_metrics_count_runs_by_state_and_requests_by_route(client, spec):
    client.post("/v1/sweeps", json=spec)
    client.get("/v1/sweeps/1")
    text = client.get("/metrics").text
    assert 'isoflop_runs{state="queued"} 5.0' in text
    assert re.search(r'isoflop_request_seconds_count.*route="/v1/sweeps/\{sweep_id\}"', text)


def events_of(client, **kwargs):
    text = client.get("/v1/events?follow=false", **kwargs).text
    return [
        dict(re.findall(r"^(\w+): (.*)$", part, re.MULTILINE))
        for part in text.split("\n\n")
        if part
    ]


def test_events_resume_after_the_last_one_seen(client, spec):
    client.post("/v1/sweeps", json=spec)
    client.post("/v1/sweeps/1/pause")
    everything = events_of(client)
    assert [e["event"] for e in everything].count("sweep.state") >= 2
    ids = [int(e["id"]) for e in everything]
    assert ids == sorted(set(ids))
    rest = events_of(client, headers={"Last-Event-ID": str(ids[1])})
    assert [int(e["id"]) for e in rest] == ids[2:]


def test_events_of_one_sweep_leave_out_the_others(client, spec):
    for name in "ab":
        client.post("/v1/sweeps", json=spec | {"name": name})
    found = events_of(client, params={"follow": "false", "sweep_id": 2})
    assert found
    assert {'"sweep_id": 2' in e["data"] for e in found} == {True}


@pytest.mark.parametrize("named", ["MyServer", "myserver:8000", "MYSERVER:443"])
def test_a_name_is_served_however_it_is_written(engine, settings, monkeypatch, named):
    monkeypatch.setenv("ISOFLOP_HOSTS", f"other, {named}")
    monkeypatch.setenv("ISOFLOP_HOME", str(settings.home))
    monkeypatch.delenv("ISOFLOP_DATABASE_URL", raising=False)
    with TestClient(create_app_from_settings(), base_url="http://myServer:8000") as client:
        assert client.get("/healthz").status_code == 200
        for host, status in (("[::1]:8000", 200), ("LOCALHOST", 200), ("third", 421)):
            assert client.get("/healthz", headers={"Host": host}).status_code == status
    client.app.state.engine.dispose()


def test_our_own_forms_are_accepted_and_headless_origins_are_not(client, spec, assert_problem):
    client.post("/v1/sweeps", json=spec)
    own = client.post("/v1/sweeps/1/pause", headers={"Origin": "http://localhost"})
    assert own.status_code == 200
    assert_problem(client.post("/v1/sweeps/1/resume", headers={"Origin": "null"}), 403)
    assert client.get("/").headers["referrer-policy"] == "same-origin"
