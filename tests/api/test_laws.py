"""From measurements over fits to recommendations, in REST."""

import csv
import io

import numpy as np
import pytest

from api.measured import to_csv
from store.engine import writing
from store.models import Run, SweepRun
from store.states import RunState
from tests.api.conftest import post_csv

CSV = "n_params,n_tokens,loss,budget,note,excluded_outlier\n"


def test_a_csv_becomes_a_study_and_keeps_every_row_and_column(client):
    rows = "1e6,2e7,3.5,1.2e14,first,False\n2e6,4e7,3.2,4.8e14,second,True\n"
    answer = post_csv(client, CSV + rows, source="a paper")
    assert answer.status_code == 201, answer.text
    study = answer.json()
    assert (study["n_measurements"], study["about"]) == (2, {"source": "a paper"})
    assert client.get("/v1/studies/epoch").json() == study
    back = client.get("/v1/studies/epoch/measurements.csv").text
    again = list(csv.DictReader(io.StringIO(back)))
    assert [r["note"] for r in again] == ["first", "second"]
    assert [r["excluded_outlier"] for r in again] == ["False", "True"]
    assert [float(r["budget_flops"]) for r in again] == [1.2e14, 4.8e14]


def test_what_was_exported_imports_to_the_same_rows(client):
    rows = "1e6,2e7,3.5,1.2e14,first,False\n2e6,4e7,3.2,4.8e14,second,True\n"
    post_csv(client, CSV + rows, name="one")
    post_csv(client, client.get("/v1/studies/one/measurements.csv").text, name="two")
    one, two = (
        [
            {k: v for k, v in row.items() if k not in ("id", "study_id")}
            for row in client.get(f"/v1/studies/{name}/measurements.json").json()["items"]
        ]
        for name in ("one", "two")
    )
    assert one == two


def test_what_is_said_of_a_whole_study_is_known_to_its_fits(client, assert_problem):
    """A unit beside the CSV is the unit of every row, as one in a column is."""
    law = lambda n, d: 1.7 + 400 / n**0.34 + 400 / d**0.28  # noqa: E731
    grid = [(n, n * r) for n in (1e7, 3e7, 1e8, 3e8) for r in (5, 20, 80)]
    text = "n_params,n_tokens,loss\n" + "".join(f"{n},{d},{law(n, d)}\n" for n, d in grid)
    bits = post_csv(client, text, name="bits", loss_unit="bits/byte", tokenizer="gpt2").json()
    nats = post_csv(client, text, name="nats", tokenizer="gpt2").json()
    ask = {"study_id": bits["id"], "law": "chinchilla", "n_bootstrap": 0}
    assert client.post("/v1/fits", json=ask).json()["loss_unit"] == "bits/byte"
    pair = {"a": {"study_id": bits["id"]}, "b": {"study_id": nats["id"]}, "n_bootstrap": 0}
    answer = client.post("/v1/comparisons", json=pair)
    assert_problem(answer, 422)
    assert "recipes must share their loss_unit; got 'bits/byte' and" in answer.json()["detail"]
    row = client.get("/v1/studies/bits/measurements.json").json()["items"][0]
    assert (row["loss_unit"], row["tokenizer"]) == ("bits/byte", "gpt2")


def test_a_cell_with_parts_is_json():
    rows = [{"loss": 1.5, "loss_by_domain": {"python": 1.25}, "note": None}]
    assert to_csv(rows) == 'loss,loss_by_domain,note\n1.5,"{""python"": 1.25}",\n'


def test_rows_as_json_are_the_same_study(client):
    rows = [{"n_params": 1e6, "n_tokens": 2e7, "loss": 3.5}]
    answer = client.post("/v1/studies", json={"name": "json", "rows": rows})
    assert answer.status_code == 201, answer.text
    assert answer.json()["n_measurements"] == 1


@pytest.mark.parametrize(
    ("text", "pointer", "words"),
    [
        ("n_params,n_tokens\n1,2\n", "#/loss", "column loss is missing"),
        ("n_params,n_tokens,loss\n1e6,2e7,-3\n", "#/loss/0", "finite and positive; got -3"),
        ("n_params,n_tokens,loss\n1e6,2e7,nan\n", "#/loss/0", "got nan"),
        (
            "n_params,n_tokens,loss\n1e6,2e7\n",
            "#/rows/0",
            "row 1 of the body has 2 cells and the header 3",
        ),
        ("n_params,n_tokens,loss\n", "#/rows", "at least one row; got no row"),
    ],
)
def test_a_bad_csv_names_column_and_row(client, assert_problem, text, pointer, words):
    answer = post_csv(client, text)
    assert_problem(answer, 422)
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert words in answer.json()["detail"]
    assert client.get("/v1/studies").json()["items"] == []


def test_a_name_is_given_once(client, assert_problem):
    text = "n_params,n_tokens,loss\n1e6,2e7,3.5\n"
    post_csv(client, text)
    assert_problem(post_csv(client, text), 409, code="exists")
    assert_problem(post_csv(client, text, name="123"), 422)  # would be taken for an id


def test_the_published_fit_through_rest(client, table):
    study = post_csv(client, table).json()
    answer = client.post(
        "/v1/fits", json={"study_id": study["id"], "law": "chinchilla", "n_bootstrap": 100}
    )
    assert answer.status_code == 201, answer.text
    fit = answer.json()
    # Besiroglu et al. 2024, refitted: reference/scaling.md section 2
    assert fit["coefficients"]["alpha"] == pytest.approx(0.34731, abs=2e-5)
    assert fit["coefficients"]["beta"] == pytest.approx(0.36717, abs=2e-5)
    assert "samples" not in fit
    ask = {"fit_id": fit["id"], "budget": "5.76e23FLOP", "device": "h100-sxm", "n_devices": 1024}
    answer = client.post("/v1/recommendations", json=ask)
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert found["n_params"] == pytest.approx(73e9, rel=0.02)
    assert found["n_params"] * found["n_tokens"] * 6 == pytest.approx(5.76e23)
    assert found["cost"]["n_devices"] == 1024
    assert found["architecture"] is None
    assert client.get(f"/v1/recommendations/{found['id']}").json() == found


def test_a_sweep_is_fitted_in_every_way_and_answers(client, answered):
    fit = client.get(f"/v1/fits/{answered.fit_id}").json()
    assert {"chinchilla", "parabola"} <= fit["approaches"].keys()
    ask = {"fit_id": answered.fit_id, "budget": "3e13FLOP"}
    found = client.post("/v1/recommendations", json=ask).json()
    assert found["verdict"] == "extrapolated"
    assert found["loss"]["low"] < found["loss"]["value"] < found["loss"]["high"]
    assert found["cost"]["device"] == "cpu-core"
    largest = client.get(f"/v1/sweeps/{answered.sweep_id}/runs").json()["items"][-1]
    seconds = 3e13 / (6 * largest["n_params"] * largest["tok_s"])  # at the largest run's speed
    assert found["cost"]["device_hours"]["value"] == pytest.approx(seconds / 3600)
    for name in ("device_hours", "usd_total", "energy_kwh"):  # the spread of the sweep's speeds
        figure = found["cost"][name]
        assert figure["low"] < figure["value"] / 1.09 < figure["value"] * 1.09 < figure["high"]
    assert np.isclose(found["architecture"]["n_params"], found["n_params"], rtol=0.05)


def test_a_price_knows_the_largest_of_more_than_a_thousand_runs(client, engine, answered):
    made = {"state": RunState.FINISHED, "tok_s": 5e4, "code_hash": "c", "corpus": "default",
            "data_fingerprint": "f", "n_params_total": 1, "n_params_non_embedding": 1,
            "n_tokens": 10, "flops": 1.0, "spec": {}}  # fmt: skip
    with writing(engine) as session:
        more = [Run(spec_hash=str(i), n_params=8000, **made) for i in range(1000)]
        more.append(Run(spec_hash="largest", n_params=10**9, **made))
        session.add_all(more)
        session.flush()
        session.add_all(SweepRun(sweep_id=answered.sweep_id, run_id=run.id) for run in more)
    ask = {"fit_id": answered.fit_id, "budget": "3e13FLOP"}
    found = client.post("/v1/recommendations", json=ask).json()
    hours = 3e13 / (6 * 1e9 * 5e4) / 3600
    assert found["cost"]["device_hours"]["value"] == pytest.approx(hours)


def test_all_approaches_together_answer_about_serving_and_short_data(client, answered):
    ask = {"fit_id": answered.fit_id, "budget": "3e13FLOP"}
    plain, served, short = (
        client.post("/v1/recommendations", json=ask | more).json()
        for more in ({}, {"inference_tokens": 1e7}, {"unique_tokens": 1e6})
    )
    assert served["n_params"] < plain["n_params"]
    spent = served["n_params"] * (6 * served["n_tokens"] + 2e7)
    assert spent == pytest.approx(3e13)
    assert "repetition_unmeasured" in {w["code"] for w in short["warnings"]}


def test_prices_may_be_judged_by_a_date(client, answered):
    ask = {"fit_id": answered.fit_id, "budget": "3e13FLOP", "today": "2026-01-01"}
    answer = client.post("/v1/recommendations", json=ask)
    assert answer.status_code == 201, answer.text


def test_a_budget_far_beyond_the_measurements_is_refused(client, answered, assert_problem):
    ask = {"fit_id": answered.fit_id, "budget": "1e26FLOP"}
    answer = client.post("/v1/recommendations", json=ask)
    assert_problem(answer, 409, type="/problems/refused")
    assert answer.json()["reasons"]
    assert client.get("/v1/recommendations").json()["items"] == []


@pytest.mark.parametrize(
    ("change", "status_and_words"),
    [
        ({"budget": "much"}, (422, "budget")),
        ({"device": "abacus"}, (422, "abacus")),
        ({"n_devices": 0}, (422, "n_devices must be a whole number from 1")),
        ({"fit_id": 99}, (404, "there is no fit 99")),
        ({"inference_tokens": -1e9}, (422, "inference_tokens must not be negative")),
        ({"unique_tokens": 0}, (422, "unique_tokens must be positive")),
        ({"inference_tokens": 1e18}, (409, "not a hundredth of the smallest")),
        ({"colour": "red"}, (422, "colour")),
    ],
)
def test_a_bad_question_says_what_is_wrong(
    client, answered, assert_problem, change, status_and_words
):
    status, words = status_and_words
    ask = {"fit_id": answered.fit_id, "budget": "3e13FLOP"} | change
    answer = client.post("/v1/recommendations", json=ask)
    assert_problem(answer, status)
    assert words in answer.text


@pytest.mark.parametrize(
    ("ask", "status", "words"),
    [
        ({}, 422, "exactly one of sweep_id and study_id"),
        ({"sweep_id": 99}, 404, "there is no sweep 99"),
        ({"study_id": 1, "law": "tarot"}, 422, "tarot"),
        ({"study_id": 1, "n_bootstrap": 0}, 422, "at least 50 with law 'auto'"),
        ({"study_id": 1, "n_bootstrap": -1}, 422, "greater than or equal to 0"),
        ({"study_id": 1, "law": "chinchilla"}, 409, "measurements"),
    ],
)
def test_a_fit_that_cannot_be_is_refused(client, assert_problem, ask, status, words):
    post_csv(client, "n_params,n_tokens,loss\n1e6,2e7,3.5\n2e6,2e7,3.4\n")
    answer = client.post("/v1/fits", json=ask)
    assert_problem(answer, status)
    assert words in answer.text
    assert client.get("/v1/fits").json()["items"] == []


def test_a_sweep_without_measurements_has_nothing_to_fit(client, spec, assert_problem):
    client.post("/v1/sweeps", json=spec)
    answer = client.post("/v1/fits", json={"sweep_id": 1})
    assert_problem(answer, 409, code="no_data")
