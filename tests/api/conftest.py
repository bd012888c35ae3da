"""A service over a fresh database, without a dispatcher and without a socket, and a sweep whose
runs a made-up law has answered."""

import math
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import uvicorn
from fastapi.testclient import TestClient

from api.main import create_app
from store import curves, measurements, runs
from store.engine import make_engine, writing
from store.migrate import upgrade
from store.settings import load_settings
from store.states import RunState
from sweeper import attempts
from trainer.data.manifest import Manifest, Shard


@pytest.fixture
def settings(tmp_path):
    """A home with the manifest of a corpus: planning needs no more."""
    settings = load_settings(tmp_path / "home")
    folder = settings.corpora / "default"
    folder.mkdir(parents=True)
    shards = (_shard("train", 400_000_000), _shard("val", 1_000_000))
    Manifest(
        tokenizer="bytes",
        tokenizer_fingerprint="bytes",
        vocab_size=256,
        dtype="uint8",
        shards=shards,
    ).save(folder)
    return settings


def _shard(split, n):
    return Shard(
        split=split,
        domain="python",
        file=f"{split}.bin",
        n_tokens=n,
        n_bytes=n,
        n_documents=10,
        sha256=split,
    )


@pytest.fixture
def engine(settings):
    engine = make_engine(settings.url)
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def app(engine, settings):
    return create_app(engine, settings)


@pytest.fixture
def client(app):
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def url(app, monkeypatch):
    """A real server on a free port: commands and browsers need a socket."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    monkeypatch.setenv("ISOFLOP_URL", f"http://127.0.0.1:{port}")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def spec():
    """Four budgets with five sizes each: a sweep of two cores and some minutes."""
    return {
        "name": "tiny",
        "sizes": [8e3, 16e3, 32e3, 64e3, 128e3],
        "budgets": [1e11, 3e11, 1e12, 3e12],
    }


@pytest.fixture
def assert_problem():
    """Every error has one shape; `members` are further ones it must have."""

    def check(response, status, **members):
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        body = response.json()
        assert body["status"] == status
        assert {"type", "title", "detail"} <= body.keys()
        assert {k: body.get(k) for k in members} == members

    return check


def law(n_params, n_tokens):
    """Loss of bytes, nats/token: its optimum at 1e12 FLOP is near 3e4 parameters."""
    return 0.6 + 23 / n_params**0.36 + 180 / n_tokens**0.40


@pytest.fixture
def answer_runs(engine):
    """Play the dispatcher: finish every queued run with the law's losses and a little noise."""

    def answer(*, leave=0):
        rng = np.random.default_rng(0)
        with writing(engine) as session:
            queued = runs.list_runs(session, state=RunState.QUEUED, limit=1000)
        for run in queued[: len(queued) - leave]:
            with writing(engine) as session:
                _finish(session, run, rng)

    return answer


def _finish(session, run, rng):
    attempt = attempts.claim(session, runs.get_run(session, run.id), worker="test")
    attempts.attempt_runs(session, attempt)
    run = runs.get_run(session, run.id)
    budgets = dict(run.budgets)
    for horizon in run.spec["horizons"]:
        values = {
            "n_params": run.n_params,
            "n_tokens": horizon,
            "flops": 6.0 * run.n_params * horizon,
            "loss": law(run.n_params, horizon) * math.exp(0.002 * rng.standard_normal()),
            "decayed": True,
            "budget_flops": budgets.get(horizon),
            "tokenizer": "bytes",
        }
        measurements.add_to_run(session, run, values)
    steps = np.linspace(0.01, 1, 60) * run.n_tokens
    curves.add_points(
        session,
        run,
        [
            {"step": i, "n_tokens": int(d), "loss": law(run.n_params, d) + 0.05, "lr": 1e-3}
            for i, d in enumerate(steps)
        ],
    )
    run.n_tokens_done, run.last_loss = run.n_tokens, law(run.n_params, run.n_tokens)
    run.tok_s, attempt.train_seconds = 5e4, run.flops / 2e10
    attempts.finish(session, attempt, RunState.FINISHED, reason=None)


@pytest.fixture
def answered(client, spec, answer_runs):
    """A finished sweep, fitted in all ways."""
    sweep = client.post("/v1/sweeps", json=spec).json()
    answer_runs()
    fit = client.post("/v1/fits", json={"sweep_id": sweep["id"], "n_bootstrap": 50})
    assert fit.status_code == 201, fit.text
    return SimpleNamespace(sweep_id=sweep["id"], fit_id=fit.json()["id"])


@pytest.fixture
def table(reference_data):
    return (reference_data / "runs" / "chinchilla_epoch.csv").read_text()


def post_csv(client, text, name="epoch", **params):
    return client.post(
        "/v1/studies",
        content=text,
        params={"name": name} | params,
        headers={"Content-Type": "text/csv"},
    )
