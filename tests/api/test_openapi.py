"""The contract: a golden file, and answers that keep to it whatever is sent."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api.main import create_app
from store import leases
from store.engine import writing

# Left out: that whatever the schema allows is accepted. What needs the database, the price table or
# two fields at once to judge is refused with 422, which no schema can say.
GOLDEN = Path(__file__).with_name("openapi.json")


def canonical(document):
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def test_the_contract_changes_only_on_purpose(client):
    """Run with UPDATE_GOLDEN=1 to accept a change, and say in the commit why clients survive it."""
    found = canonical(client.get("/openapi.json").json() | {"info": {}})
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


def test_every_operation_promises_problems(client):
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for name, operation in operations.items():
            problem = operation["responses"]["default"]["content"]
            assert "application/problem+json" in problem, f"{name} {path}"


@pytest.fixture
def contract(engine, settings, answered):
    """With a sweep, its runs and a fit in the database, so that ids hit something."""
    with writing(engine) as session:
        leases.acquire(session, "dispatcher", "me", watch=leases.Watch(), ttl_s=10)
    app = create_app(engine, settings, hosts=("testserver", "localhost"))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_answers_keep_the_contract_whatever_is_sent(contract, mode):
    """Status, content type and body as promised, and no 500, for made-up requests to each route."""
    for found in contract.exclude(path="/v1/events").get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy(generation_mode=mode))
        @examples(max_examples=10, suppress_health_check=list(HealthCheck))
        def keeps_it(case):
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        with suppress(Unsatisfiable):  # an operation without parameters has no wrong request
            keeps_it()
