import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError, ProgrammingError

from api import problems
from fitting.errors import InputError, RefusalError
from store.errors import ConflictError, KeyInFlightError, KeyReusedError, NotFoundError, SchemaError

RAISED = {
    "input": InputError("budget must be positive; got -1", field="budgets.1"),
    "refusal": RefusalError("too few runs", code="too_few", reasons=("3 runs; 5 needed",)),
    "absent": NotFoundError("sweep", 7),
    "conflict": ConflictError("sweep", 7, found="finished", wanted="paused"),
    "reused": KeyReusedError("k"),
    "flying": KeyInFlightError("k"),
    "schema": SchemaError("run `isoflop migrate`"),
    "database": OperationalError("SELECT secret", {}, Exception("away")),
    "no table": OperationalError("SELECT secret", {}, Exception("no such table: sweep")),
    "no column": OperationalError("INSERT", {}, Exception("table run has no column named stack")),
    "bad SQL": ProgrammingError("SELEKT secret", {}, Exception("syntax error")),
    "bug": KeyError("secret"),
}


@pytest.fixture
def client():
    app = FastAPI()
    problems.install(app)

    @app.get("/raise/{name}")
    def _raise(name: str):
        raise RAISED[name]

    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("name", "status", "members"),
    [
        (
            "input",
            422,
            {
                "type": "/problems/bad-input",
                "detail": "budget must be positive; got -1",
                "errors": [{"pointer": "#/budgets/1", "detail": "budget must be positive; got -1"}],
            },
        ),
        ("refusal", 409, {"code": "too_few", "reasons": ["3 runs; 5 needed"]}),
        ("absent", 404, {"detail": "there is no sweep 7", "kind": "sweep", "key": 7}),
        ("conflict", 409, {"found": "finished", "wanted": "paused", "code": "conflict"}),
        ("reused", 422, {"type": "/problems/key-reused", "key": "k"}),
        ("flying", 409, {"type": "/problems/key-in-flight", "key": "k"}),
        ("schema", 503, {"detail": "run `isoflop migrate`"}),
        ("database", 503, {"type": "/problems/database"}),
        ("no table", 503, {"type": "/problems/schema"}),
        ("no column", 503, {"type": "/problems/schema"}),
        ("bad SQL", 500, {"type": "about:blank"}),
        ("bug", 500, {"type": "about:blank"}),
    ],
)
def test_every_error_has_its_status_and_members(client, assert_problem, name, status, members):
    assert_problem(client.get(f"/raise/{name}"), status, **members)


@pytest.mark.parametrize("name", ["database", "bad SQL", "bug"])
def test_no_internals_leave_with_an_error(client, name):
    assert "secret" not in client.get(f"/raise/{name}").text


@pytest.mark.parametrize(
    ("field", "pointer"),
    [("budgets.1", "#/budgets/1"), ("loss[3]", "#/loss/3"), ("a/b", "#/a~1b"), ("", "#/")],
)
def test_fields_become_json_pointers(field, pointer):
    assert problems.pointer(field) == pointer
