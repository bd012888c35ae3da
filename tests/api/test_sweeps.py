import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.engine import writing
from store.models import Attempt


def test_a_dry_run_prices_the_sweep_and_leaves_no_row(client, spec):
    answer = client.post("/v1/sweeps?dry_run=true", json=spec)
    assert answer.status_code == 200
    plan = answer.json()
    assert plan["n_runs"] == 5
    assert plan["n_points"] == 20
    assert min(plan[name] for name in ("flops", "hours", "usd", "energy_kwh", "tco2e")) > 0
    assert client.get("/v1/sweeps").json() == {"items": [], "next_cursor": None}


def test_a_sweep_is_queued_with_its_plan(client, spec):
    answer = client.post("/v1/sweeps", json=spec)
    assert answer.status_code == 201
    sweep = answer.json()
    assert sweep["state"] == "queued"
    assert sweep["progress"]["counts"]["queued"] == 5
    assert sweep["price"]["flops"] == pytest.approx(sweep["progress"]["flops"])
    assert client.get(f"/v1/sweeps/{sweep['id']}").json() == sweep


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"budget": [1e12]}, ("#/budget", "unknown key 'budget'")),
        ({"budgets": [-1e12]}, ("#/budgets/0", "greater than 0; got -1000000000000.0")),
        ({"sizes": [{"n_layer": 2, "d_model": 30, "n_head": 4}]}, ("#/sizes/0", "n_head")),
        ({"budgets": [1e16]}, ("#/max_epochs", "raise max_epochs")),
        ({"limits": {"usd": 1e-9}}, ("#/limits/usd", "raise the limit")),
        ({"data": "nowhere"}, ("#/data", "isoflop data prepare")),
    ],
)
def test_a_bad_sweep_names_the_field_and_the_remedy_and_leaves_no_row(
    client, spec, assert_problem, change, said
):
    answer = client.post("/v1/sweeps", json=spec | change)
    assert_problem(answer, 422, type="/problems/bad-input")
    assert answer.json()["errors"][0]["pointer"] == said[0]
    assert said[1] in answer.json()["detail"]
    assert client.get("/v1/sweeps").json()["items"] == []


def test_the_same_key_and_body_give_the_same_sweep(client, spec):
    headers = {"Idempotency-Key": "k1"}
    first, second = (client.post("/v1/sweeps", json=spec, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replay"] == "true"
    assert len(client.get("/v1/sweeps").json()["items"]) == 1


def test_a_key_is_answered_though_the_corpus_has_gone(client, spec, settings):
    headers = {"Idempotency-Key": "k1"}
    first = client.post("/v1/sweeps", json=spec, headers=headers)
    (settings.corpora / "default").rename(settings.corpora / "elsewhere")
    second = client.post("/v1/sweeps", json=spec, headers=headers)
    assert (second.status_code, second.json()) == (201, first.json())
    assert second.headers["Idempotent-Replay"] == "true"
    assert client.post("/v1/sweeps?dry_run=true", json=spec, headers=headers).status_code == 422


def test_the_same_key_with_another_body_is_refused(client, spec, assert_problem):
    headers = {"Idempotency-Key": "k1"}
    client.post("/v1/sweeps", json=spec, headers=headers)
    answer = client.post("/v1/sweeps", json=spec | {"name": "other"}, headers=headers)
    assert_problem(answer, 422, type="/problems/key-reused", key="k1")
    assert "Idempotency-Key 'k1' was used" in answer.json()["detail"]
    assert "choose a new key" in answer.json()["detail"]


def test_fifty_identical_posts_at_once_make_one_sweep(client, spec):
    headers = {"Idempotency-Key": "storm"}
    with ThreadPoolExecutor(50) as pool:
        answers = list(
            pool.map(lambda _: client.post("/v1/sweeps", json=spec, headers=headers), range(50))
        )
    assert {a.status_code for a in answers} == {201}
    assert len({json.dumps(a.json(), sort_keys=True) for a in answers}) == 1
    assert len(client.get("/v1/sweeps").json()["items"]) == 1


@settings(max_examples=15)
@given(requests=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=6))
def test_a_key_belongs_to_its_first_body_for_good(client, spec, requests):
    """Any order of posts: the first body of a key wins, every other one is refused."""
    prefix = f"p{len(client.get('/v1/sweeps?limit=1000').json()['items'])}"
    owner: dict[str, str] = {}
    answers: dict[str, object] = {}
    for key, name in requests:
        answer = client.post(
            "/v1/sweeps", json=spec | {"name": name}, headers={"Idempotency-Key": prefix + key}
        )
        assert answer.status_code == (201 if owner.setdefault(key, name) == name else 422)
        if answer.status_code == 201:
            assert answers.setdefault(key, answer.json()) == answer.json()


def test_lists_are_paged_by_key(client, spec):
    made = [client.post("/v1/sweeps", json=spec | {"name": f"s{i}"}).json()["id"] for i in range(5)]
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/sweeps", params=params).json()
        seen += [s["id"] for s in page["items"]]
        client.post("/v1/sweeps", json=spec | {"name": "late"})  # must neither hide nor repeat
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]


def test_a_made_up_cursor_is_refused(client, assert_problem):
    answer = client.get("/v1/sweeps", params={"cursor": "nonsense"})
    assert_problem(answer, 422)
    assert "next_cursor of another page" in answer.json()["detail"]


def test_the_verbs_differ_as_named(client, spec, assert_problem):
    sweep = client.post("/v1/sweeps", json=spec).json()

    def post(verb):
        return client.post(f"/v1/sweeps/{sweep['id']}/{verb}")

    assert post("pause").json()["state"] == "paused"
    assert post("resume").json()["state"] in ("queued", "running")
    assert post("cancel").json()["state"] == "cancelled"
    assert_problem(post("pause"), 409, found="cancelled", code="conflict")
    assert_problem(post("retry"), 409, found="cancelled")  # cancelled is final
    assert_problem(post("explode"), 422)


def test_an_absent_sweep_is_a_404(client, assert_problem):
    for path in ("", "/runs"):
        assert_problem(client.get(f"/v1/sweeps/99{path}"), 404, detail="there is no sweep 99")
    assert_problem(client.post("/v1/sweeps/99/pause"), 404)


def test_a_second_sweep_shares_runs_that_are_there(client, spec, answer_runs):
    first = client.post("/v1/sweeps", json=spec).json()
    answer_runs()
    second = client.post("/v1/sweeps", json=spec | {"name": "again"}).json()
    assert second["state"] == "finished"
    runs = [
        [r["id"] for r in client.get(f"/v1/sweeps/{s['id']}/runs").json()["items"]]
        for s in (first, second)
    ]
    assert runs[0] == runs[1]


def test_a_run_shows_attempts_measurements_and_curve(client, answered):
    run = client.get(f"/v1/sweeps/{answered.sweep_id}/runs").json()["items"][0]
    detail = client.get(f"/v1/runs/{run['id']}").json()
    assert detail["attempts"][0]["state"] == "finished"
    assert [m["n_tokens"] for m in detail["measurements"]] == detail["spec"]["horizons"]
    curve = client.get(f"/v1/runs/{run['id']}/curve").json()
    assert len(curve["points"]) > 10
    assert curve["points"][0]["loss"] > curve["points"][-1]["loss"]


def test_measured_energy_stands_beside_what_was_estimated(client, engine, answered):
    before = client.get("/v1/runs/1").json()["energy"]
    assert (before["measured_kwh"], before["source"]) == (None, None)
    assert before["estimated_kwh"]["low"] < before["estimated_kwh"]["value"]
    with writing(engine) as session:
        attempt = session.get_one(Attempt, 1)
        attempt.energy_kwh, attempt.energy_source = 2e-4, "rapl: 1 CPU package"
        run_id = attempt.run_id
    detail = client.get(f"/v1/runs/{run_id}").json()
    assert (detail["energy"]["measured_kwh"], detail["energy"]["source"]) == (
        2e-4,
        "rapl: 1 CPU package",
    )
    assert detail["attempts"][0]["energy_kwh"] == 2e-4


def test_more_points_for_a_law_are_fitted_with_the_earlier_ones(
    client, spec, answered, answer_runs
):
    more = spec | {"name": "more", "budgets": [1e13], "extends": answered.sweep_id}
    plan = client.post("/v1/sweeps?dry_run=true", json=more).json()
    assert plan["n_runs"] == 5
    assert plan["notes"] == ["extends sweep 1: the points of its 5 runs are fitted too"]
    made = client.post("/v1/sweeps", json=more).json()
    assert (made["notes"], made["progress"]["n_runs"]) == (plan["notes"], 5)
    answer_runs()
    fit = client.post("/v1/fits", json={"sweep_id": made["id"], "n_bootstrap": 50}).json()
    assert fit["n_measurements"] == 25
    asked = {"fit_id": fit["id"], "budget": "1e14FLOP"}
    assert client.post("/v1/recommendations", json=asked).json()["verdict"] == "extrapolated"


@pytest.mark.parametrize("dry", ["", "?dry_run=true"])
def test_what_cannot_be_extended_leaves_no_row(client, spec, assert_problem, dry):
    answer = client.post(f"/v1/sweeps{dry}", json=spec | {"extends": 7})
    assert_problem(answer, 422, type="/problems/bad-input")
    assert answer.json()["errors"][0]["pointer"] == "#/extends"
    assert "there is no sweep 7" in answer.json()["detail"]
    assert client.get("/v1/sweeps").json()["items"] == []


def test_points_added_by_size_and_tokens_leave_the_budgets_as_they_are(client, spec, answer_runs):
    """Three sizes of a budget are an isoFLOP curve where budgets are named, four where guessed."""
    client.post("/v1/sweeps", json=spec | {"sizes": [16e3, 32e3, 64e3]})
    answer_runs()
    grid = [{"size": 24e3, "tokens": [5e6]}]
    client.post("/v1/sweeps", json={"name": "more", "grid": grid, "extends": 1})
    answer_runs()
    for sweep_id in (1, 2):
        fit = client.post("/v1/fits", json={"sweep_id": sweep_id, "n_bootstrap": 50}).json()
        assert not {"no_rollout", "refused_parabola"} & {n["code"] for n in fit["warnings"]}
