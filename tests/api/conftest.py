"""A service over a fresh database, without a dispatcher and without a socket."""

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from store.engine import make_engine
from store.migrate import upgrade
from store.settings import load_settings


@pytest.fixture
def settings(tmp_path):
    return load_settings(tmp_path / "home")


@pytest.fixture
def engine(settings):
    settings.home.mkdir()
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
