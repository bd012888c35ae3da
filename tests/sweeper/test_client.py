"""The client turns problems back into the errors that they were."""

import json

import httpx2
import pytest

from fitting.errors import InputError, RefusalError
from sweeper.client import Client, find_url
from sweeper.errors import ServiceError


def client_that_answers(status, body, content_type="application/problem+json"):
    def handle(request):
        return httpx2.Response(status, json=body, headers={"Content-Type": content_type})

    http = httpx2.Client(transport=httpx2.MockTransport(handle), base_url="http://service")
    return Client(http=http)


def test_bad_input_keeps_its_words_and_its_field():
    body = {"detail": "budget must be positive", "errors": [{"pointer": "#/budgets/1"}]}
    with (
        pytest.raises(InputError, match="budget must be positive") as caught,
        client_that_answers(422, body) as client,
    ):
        client.sweep(1)
    assert caught.value.field == "budgets.1"


def test_a_refusal_keeps_its_code_and_reasons():
    body = {"detail": "too few runs", "code": "too_few", "reasons": ["3 runs; 5 needed"]}
    with pytest.raises(RefusalError, match="too few runs") as caught:
        client_that_answers(409, body).fit(sweep_id=1)
    assert (caught.value.code, caught.value.reasons) == ("too_few", ("3 runs; 5 needed",))


def test_what_is_absent_is_bad_input():
    with pytest.raises(InputError, match="there is no sweep 9"):
        client_that_answers(404, {"detail": "there is no sweep 9"}).sweep(9)


def test_a_failing_service_is_not_the_users_mistake():
    with pytest.raises(ServiceError, match="answered 500: an unexpected error"):
        client_that_answers(500, {"detail": "an unexpected error"}).sweeps().__next__()


@pytest.mark.parametrize("status", [200, 404, 502])
def test_what_is_not_the_service_is_recognised(status):
    def handle(request):
        return httpx2.Response(status, text="<html>It works!</html>")

    http = httpx2.Client(transport=httpx2.MockTransport(handle), base_url="http://service")
    with pytest.raises(ServiceError, match=f"answered {status}, not as isoflop does; is it the"):
        Client(http=http).sweep(1)


def test_an_error_without_words_is_one_too():
    with pytest.raises(ServiceError, match="answered 404 without saying why"):
        client_that_answers(404, {"error": "?"}).sweep(1)


def test_what_json_has_not_is_not_sent():
    with pytest.raises(InputError, match="cannot be asked over HTTP: Out of range float"):
        client_that_answers(200, {}).launch(1, max_epochs=float("nan"))


@pytest.mark.parametrize("text", ['{"url": "http:', "{}", "[]"])
def test_a_torn_service_file_says_what_to_do(tmp_path, monkeypatch, text):
    monkeypatch.delenv("ISOFLOP_URL", raising=False)
    (tmp_path / "service.json").write_text(text)
    with pytest.raises(InputError, match=r"does not say where the service is; start it again"):
        find_url(home=tmp_path)


def test_without_a_service_it_says_how_to_start_one():
    with pytest.raises(InputError, match=r"no service answers at .* start one with `isoflop up`"):
        Client("http://127.0.0.1:9", timeout_s=2).sweep(1)


def test_the_url_comes_from_argument_environment_or_home(tmp_path, monkeypatch):
    monkeypatch.delenv("ISOFLOP_URL", raising=False)
    with pytest.raises(InputError, match=r"service\.json does not exist; start one"):
        find_url(home=tmp_path)
    (tmp_path / "service.json").write_text(json.dumps({"url": "http://127.0.0.1:1/"}))
    assert find_url(home=tmp_path) == "http://127.0.0.1:1"
    monkeypatch.setenv("ISOFLOP_URL", "http://env")
    assert find_url(home=tmp_path) == "http://env"
    assert find_url("http://given", home=tmp_path) == "http://given"


def test_pages_are_walked_to_the_end():
    pages = {None: ([1, 2], "b"), "b": ([3], None)}

    def handle(request):
        items, cursor = pages[request.url.params.get("cursor")]
        return httpx2.Response(200, json={"items": items, "next_cursor": cursor})

    http = httpx2.Client(transport=httpx2.MockTransport(handle), base_url="http://service")
    assert list(Client(http=http).sweeps()) == [1, 2, 3]


def test_events_are_parsed_and_resumed():
    stream = (
        ': ping\n\nid: 7\nevent: run.state\ndata: {"run_id": 1}\n\nid: 8\nevent: x\ndata: {}\n\n'
    )
    asked = []

    def handle(request):
        asked.append(request.headers["Last-Event-ID"])
        return httpx2.Response(200, text=stream, headers={"Content-Type": "text/event-stream"})

    http = httpx2.Client(transport=httpx2.MockTransport(handle), base_url="http://service")
    found = list(Client(http=http).events(after=6))
    assert [(e["id"], e["event"]) for e in found] == [(7, "run.state"), (8, "x")]
    assert found[0]["data"] == {"run_id": 1}
    assert asked == ["6"]


@pytest.mark.parametrize("both", [{}, {"sweep_id": 1, "study_id": "x"}])
def test_a_report_is_of_one_thing(both):
    with pytest.raises(InputError, match="exactly one of a sweep and a study"):
        client_that_answers(200, {}).report(**both)
