"""What a study's table may not hold, in the words a client gets."""

import json

import pytest

from tests.api.conftest import post_csv

BASE = {"n_params": 1e6, "n_tokens": 2e7, "loss": 3.2}
HEADER = "n_params,n_tokens,loss"


def post(client, rows, **about):
    body = json.dumps({"name": "t", "rows": rows} | about)
    return client.post("/v1/studies", content=body, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_nan_is_no_json(client, assert_problem, number):
    answer = post(client, [BASE | {"bits_per_byte": float(number)}])
    assert_problem(answer, 422)
    assert f"{number} is not JSON" in answer.json()["detail"]


@pytest.mark.parametrize("column", ["note", "bits_per_byte", "loss_se"])
def test_a_number_beyond_all_numbers_is_named_with_its_row(client, assert_problem, column):
    body = (
        f'{{"name": "t", "rows": [{{"n_params": 1, "n_tokens": 1, "loss": 1, "{column}": 1e999}}]}}'
    )
    answer = client.post("/v1/studies", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422)
    assert answer.json()["errors"][0]["pointer"] == f"#/{column}/0"
    assert f"{column} of row 1 must be finite; got inf" in answer.json()["detail"]


@pytest.mark.parametrize(
    "column", ["bits_per_byte", "loss_se", "unique_tokens", "budget_flops", "budget", "decayed"]
)
@pytest.mark.parametrize("word", ["nan", "inf"])
def test_nan_in_a_csv_is_named_with_its_row(client, assert_problem, column, word):
    answer = post_csv(client, f"{HEADER},{column}\n1e6,2e7,3.2,{word}\n")
    assert_problem(answer, 422)
    assert f"{column} of row 1 must be finite; got {word}" in answer.json()["detail"]


@pytest.mark.parametrize("column", ["bits_per_byte", "loss_se", "decayed", "budget", "tokenizer"])
def test_an_empty_optional_column_is_as_if_it_were_not_there(client, column):
    csv = post_csv(client, f"{HEADER},{column}\n1e6,2e7,3.2,\n2e6,4e7,3.0,\n")
    assert csv.status_code == 201, csv.text
    assert post(client, [BASE | {column: ""}]).status_code == 201
    row = client.get("/v1/studies/t/measurements.json").json()["items"][0]
    assert row.get({"budget": "budget_flops"}.get(column, column)) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"note": "a\0b"},
            r"note of row 1 must not hold NUL or half a surrogate pair; got 'a\x00b'",
        ),
        ({"note": "a\ud800"}, r"note of row 1 must not hold NUL or half a surrogate pair; got"),
        ({"group_name": "x" * 201}, "group_name of row 1 may have 200 characters; got 201"),
        ({"a\0b": 1}, "a column's name must not hold NUL"),
        ({"group": "x" * 201}, "group of row 1 may have 200 characters; got 201"),
        ({"tokenizer": "x" * 201}, "tokenizer of row 1 may have 200 characters; got 201"),
    ],
)
def test_texts_that_not_every_database_keeps_are_refused(client, assert_problem, change, words):
    answer = post(client, [BASE | change])
    assert_problem(answer, 422)
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("field", ["source", "tokenizer", "loss_unit"])
def test_so_are_texts_about_the_study(client, assert_problem, field):
    answer = post(client, [BASE], **{field: "a\0b"})
    assert_problem(answer, 422)
    assert f"{field} must not hold NUL" in answer.json()["detail"]
    for path in ("/v1/studies/%00", "/studies/%00"):
        assert client.get(path).status_code == 422


def test_a_number_for_a_text_is_its_text(client):
    assert post(client, [BASE | {"tokenizer": 5, "group": True}]).status_code == 201
    row = client.get("/v1/studies/t/measurements.json").json()["items"][0]
    assert (row["tokenizer"], row["group"]) == ("5.0", "True")


def test_a_row_error_points_into_the_document(client, assert_problem):
    answer = post(client, [BASE, BASE | {"loss": [3]}])
    assert_problem(answer, 422)
    assert answer.json()["errors"][0]["pointer"] == "#/rows/1/loss"
    assert "a number, a text, true, false or null; got list" in answer.json()["detail"]


def test_json_may_be_too_deep(client, assert_problem):
    headers = {"Content-Type": "application/json"}
    answer = client.post("/v1/studies", content="[" * 200_000, headers=headers)
    assert_problem(answer, 422)
    assert "the body must be JSON" in answer.json()["detail"]


def test_a_column_is_there_once(client, assert_problem):
    answer = post_csv(client, f"{HEADER},loss\n1e6,2e7,3.2,3.1\n")
    assert_problem(answer, 422)
    assert answer.json()["detail"].startswith("column loss is there twice; rename one of the two")
