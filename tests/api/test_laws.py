"""From measurements over fits to recommendations, in REST."""

import csv
import io
import json

import numpy as np
import pytest

from fitting.costs.budget import parse_budget
from fitting.costs.published import published_law
from fitting.costs.question import ask

CSV = "n_params,n_tokens,loss,budget,note,excluded_outlier\n"


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
        ("n_params,n_tokens,loss\n1e6,2e7\n", "#/rows/0", "every row needs 3 values"),
        ("n_params,n_tokens,loss\n", "#/rows", "at least 1 item"),
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


def test_an_estimate_is_the_command_lines(client):
    # the lecture's Llama 3 405B: reference/costs.md, preset cs229
    ask = {"n_params": 405e9, "n_tokens": 15.6e12, "preset": "cs229", "n_devices": 16000}
    found = client.post("/v1/estimates", json=ask).json()
    assert found["flops"]["value"] == pytest.approx(3.791e25, rel=1e-3)
    assert found["days"]["value"] == pytest.approx(68.6, rel=1e-3)


@pytest.mark.parametrize("ask", [{}, {"flops": -1}, {"flops": 1e20, "device": "abacus"}])
def test_an_impossible_estimate_is_refused(client, assert_problem, ask):
    assert_problem(client.post("/v1/estimates", json=ask), 422)


@pytest.mark.parametrize(
    ("budget", "stated"),
    [
        ("5.76e23FLOP", {}),
        ("26M gpu-h", {"preset": "cs229"}),
        ("30 days on 10,000 h100", {"measured_mfu": 0.4}),
        ("10 kUSD spot a100 in europe-west4", {"overhead_share": 0.1}),
        ("500 tCO2e", {"pue": 1.2}),
    ],
)
def test_an_estimate_takes_a_budget_in_any_unit(client, budget, stated):
    found = client.post("/v1/estimates", json={"budget": budget} | stated).json()
    meant = parse_budget(budget).to_flops(**stated).estimate().to_dict()
    assert found == json.loads(json.dumps(meant))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"budget": "30 days", "flops": 1e20}, "give a budget, or what to train; not both"),
        ({"budget": "30 days"}, "days of what?"),
        ({"budget": "12 parsecs"}, "unknown unit"),
        ({"budget": "26M h100-h", "device": "a100"}, "got device=a100: give one"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused_with_the_remedy(
    client, assert_problem, asked, words
):
    answer = client.post("/v1/estimates", json=asked)
    assert_problem(answer, 422)
    assert words in answer.json()["detail"]


def test_the_lectures_question_has_one_answer_everywhere(client):
    said = {"sweep_share": "computed", "inference_tokens": 1e12, "unique_tokens": 1e12}
    asked = {"budget": "10,000 H100 for 30 days", "measured_mfu": 0.4} | said
    found = client.post("/v1/budgets", json=asked)
    assert found.status_code == 200, found.text
    law = published_law("chinchilla-epoch")
    meant = ask("10,000 H100 for 30 days", law, measured_mfu=0.4, **said).to_dict()
    assert found.json() == json.loads(json.dumps(meant))
    assert set(found.json()["choices"]) == {"plain", "inference_aware", "data_limited"}


def test_a_budget_may_be_spent_by_ones_own_law(client, table):
    post_csv(client, table)
    client.post("/v1/fits", json={"study_id": 1, "law": "chinchilla", "n_bootstrap": 0})
    found = client.post("/v1/budgets", json={"budget": "1e22FLOP", "fit_id": 1}).json()
    assert "chinchilla law fitted to" in found["law"]
    assert found["choices"]["plain"]["n_params"] > 1e8


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"budget": "$75M", "law": "tarot"}, 422, "law must be one of"),
        ({"budget": "$75M", "law": "chinchilla-epoch", "fit_id": 1}, 422, "not both"),
        ({"budget": "$75M", "fit_id": 1}, 404, "no fit 1"),
        ({"budget": "$75M", "sweep_share": 10}, 422, "sweep_share must lie in (0, 1)"),
        ({"budget": "1e18FLOP", "inference_tokens": 1e25}, 409, "leaves nothing"),
    ],
)
def test_a_budget_without_an_answer_says_why(client, assert_problem, asked, status, words):
    answer = client.post("/v1/budgets", json=asked)
    assert_problem(answer, status)
    assert words in answer.text


def test_a_law_of_several_has_no_single_price(client, engine, answered, assert_problem):
    auto = next(f["id"] for f in client.get("/v1/fits").json()["items"] if f["law"] == "auto")
    asked = client.post("/v1/budgets", json={"budget": "$75M", "fit_id": auto})
    assert_problem(asked, 422)
    assert "needs a single law; got a fit with law 'auto'" in asked.text


def test_cost_against_loss_is_drawn_by_a_published_law_or_ones_own(client, table):
    published = client.get("/v1/plots/cost-loss.json", params={"device": "b200"}).json()
    assert "b200-sxm" in published["caption"]
    assert [line["flops"] for line in published["lines"]] == [1e23, 1e25, 1e26]
    post_csv(client, table)
    client.post("/v1/fits", json={"study_id": 1, "law": "chinchilla", "n_bootstrap": 0})
    own = client.get("/v1/plots/cost-loss.json", params={"fit_id": 1}).json()
    assert "chinchilla law fitted to" in own["caption"]
    assert client.get("/v1/plots/cost-loss.svg").content.startswith(b"<?xml")


def test_learning_rates_are_drawn_beside_the_papers(client):
    found = client.get("/v1/plots/learning-rates.json").json()
    assert [s["label"] for s in found["theirs"]] == ["gpt3", "llama1"]


def test_a_curve_of_an_unknown_device_is_refused(client, assert_problem):
    assert_problem(client.get("/v1/plots/cost-loss.svg", params={"device": "abacus"}), 422)
