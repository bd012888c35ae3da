"""What a run costs and what a budget buys, in REST."""

import json

import pytest

from fitting.costs.budget import parse_budget
from fitting.costs.published import published_law
from fitting.costs.question import ask
from tests.api.conftest import post_csv


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
