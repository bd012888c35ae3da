"""A forecast sealed before its run, compared after; without any training."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from fitting.errors import InputError, RefusalError
from store import conclusions
from store.engine import reading, writing
from store.models import Attempt, Run
from store.runs import list_runs
from store.states import RunKind, RunState
from store.sweeps import get_sweep, link
from sweeper import attempts, ingest, verbs
from sweeper.executor import Need
from sweeper.forecast import canonical, sha256
from sweeper.launch import as_dict, launch
from sweeper.resources import impossible
from sweeper.settling import is_launched
from sweeper.submit import add_runs
from trainer.config import RunSpec

COST = {
    name: {"value": 1.0, "low": 0.5, "high": 2.0}
    for name in ("device_hours", "usd_total", "energy_kwh", "tco2e")
}
RESULT = {
    "n_params": 3.1e4,
    "n_tokens": 5.2e6,
    "loss": {"value": 2.0, "low": 1.95, "high": 2.05},
    "verdict": "extrapolated",
    "cost": {"device": "cpu-core", **COST},
}


@pytest.fixture
def recommend(engine, ask):
    """A recommendation resting on a sweep, as the web process stores it."""

    def make(*, sweep=True, **changes) -> int:
        sweep_id = ask() if sweep else None
        result = RESULT | changes
        flops = 6 * result["n_params"] * result["n_tokens"]
        with writing(engine) as session:
            fit = conclusions.add_fit(
                session, sweep_id=sweep_id, law="auto", measurement_ids=[], result={}
            )
            return conclusions.add_recommendation(
                session, fit_id=fit.id, flops=flops, result=result
            ).id

    return make


def launched(engine, settings, recommendation_id, **how):
    with writing(engine) as session:
        made = launch(session, settings, recommendation_id, **how)
        return as_dict(made, session.get_one(Run, made.run_id))


def end(engine, run_id, loss=1.99, energy=None, **how):
    with writing(engine) as session:
        run = session.get_one(Run, run_id)
        attempt = attempts.claim(session, run, worker="w", n_devices=2)
        point = {
            "n_params": run.n_params, "n_tokens": run.n_tokens, "loss": loss, "flops": run.flops,
        }  # fmt: skip
        ended = {"status": "finished", "measurements": [point], "train_seconds": 1800.0}
        ended |= {"energy": energy, **how}
        ingest.conclude(session, run, attempt, ended)


def test_the_final_run_is_what_was_recommended_with_the_sweeps_recipe(engine, settings, recommend):
    made = launched(engine, settings, recommend())
    bet = made["forecast"]
    assert bet["n_params"] == pytest.approx(3.1e4, rel=0.1)
    asked = 6 * RESULT["n_params"] * RESULT["n_tokens"]
    assert bet["flops"] == pytest.approx(asked, rel=1e-3)  # the compute is the one asked for
    with reading(engine) as session:
        final = session.get_one(Run, made["run_id"])
        point = list_runs(session)[0]
        assert (final.kind, final.state) == (RunKind.FINAL, RunState.QUEUED)
        assert final.spec["optimizer"] == point.spec["optimizer"]
        assert final.spec["model"]["context"] == point.spec["model"]["context"]


def test_the_outcome_is_set_beside_the_forecast(engine, settings, recommend):
    made = launched(engine, settings, recommend())
    end(engine, made["run_id"])
    with reading(engine) as session:
        row = conclusions.get_launch(session, made["id"])
        after = as_dict(row, session.get_one(Run, row.run_id))
    outcome = after["outcome"]
    assert outcome["loss"] == 1.99
    assert outcome["inside"] is True
    assert outcome["relative_error"] == pytest.approx(-0.005)
    assert outcome["cost"]["device_hours"] == pytest.approx(1.0)  # 2 cores for half an hour
    assert outcome["seal_intact"] is True
    assert after["forecast"] == made["forecast"]
    assert after["forecast_sha256"] == sha256(canonical(after["forecast"]))


@pytest.mark.parametrize(
    ("used", "hours"), [((1, 1), 0.5), ((2, 1), 1.0), ((1, 2), 1.0), ((8, 1), 1.0)]
)
def test_cores_that_a_run_was_given_and_did_not_use_are_not_charged(
    engine, settings, recommend, used, hours
):
    made = launched(engine, settings, recommend())
    end(engine, made["run_id"], device="cpu", n_threads=used[0], n_processes=used[1])
    with reading(engine) as session:
        outcome = json.loads(conclusions.get_launch(session, made["id"]).outcome_json)
    assert outcome["cost"]["device_hours"] == pytest.approx(hours)


def test_the_outcome_is_priced_as_the_forecast_was(engine, settings, recommend):
    stated = {"usd_total": {"value": 7.0, "low": 6.0, "high": 8.0}}  # a price somebody gave
    made = launched(engine, settings, recommend(cost=RESULT["cost"] | stated))
    end(engine, made["run_id"])
    with reading(engine) as session:
        outcome = json.loads(conclusions.get_launch(session, made["id"]).outcome_json)
    hours = made["forecast"]["cost"]["device_hours"]["value"]
    assert outcome["cost"]["usd_total"] == pytest.approx(
        7.0 * outcome["cost"]["device_hours"] / hours
    )


def test_processes_that_do_not_divide_the_batch_are_refused_and_nothing_is_queued(
    engine, settings, recommend
):
    asked = recommend()
    with reading(engine) as session:
        before = len(list_runs(session))
    with pytest.raises(InputError) as refused:
        launched(engine, settings, asked, n_processes=1023)
    assert refused.value.field == "n_processes"
    assert "n_processes must divide the" in str(refused.value)
    assert "got 1023 (leave it out to have it chosen)" in str(refused.value)
    with reading(engine) as session:
        assert len(list_runs(session)) == before


def test_measured_energy_stands_beside_the_estimate(engine, settings, recommend):
    made = launched(engine, settings, recommend())
    end(engine, made["run_id"], energy={"kwh": 0.012, "source": "nvml", "scope": "one GPU board"})
    with reading(engine) as session:
        outcome = json.loads(conclusions.get_launch(session, made["id"]).outcome_json)
        attempt = session.scalars(select(Attempt).where(Attempt.run_id == made["run_id"])).one()
    assert outcome["measured_energy_kwh"] == attempt.energy_kwh == 0.012
    assert outcome["energy_source"] == attempt.energy_source == "nvml: one GPU board"
    assert outcome["cost"]["energy_kwh"] > 0


def test_without_a_meter_no_energy_is_claimed(engine, settings, recommend):
    made = launched(engine, settings, recommend())
    end(engine, made["run_id"])
    with reading(engine) as session:
        outcome = json.loads(conclusions.get_launch(session, made["id"]).outcome_json)
    assert "measured_energy_kwh" not in outcome


def test_an_outcome_outside_its_interval_says_so(engine, settings, recommend):
    made = launched(engine, settings, recommend())
    end(engine, made["run_id"], loss=2.3)
    with reading(engine) as session:
        outcome = json.loads(conclusions.get_launch(session, made["id"]).outcome_json)
    assert outcome["inside"] is False


def test_an_altered_forecast_breaks_its_seal(engine, settings, recommend):
    made = launched(engine, settings, recommend())
    with writing(engine) as session:
        row = conclusions.get_launch(session, made["id"])
        row.forecast_json = row.forecast_json.replace('"value":2.0', '"value":1.99')
    end(engine, made["run_id"])
    with reading(engine) as session:
        outcome = json.loads(conclusions.get_launch(session, made["id"]).outcome_json)
    assert outcome["seal_intact"] is False


def test_launching_twice_is_launching_once(engine, settings, recommend):
    recommendation = recommend()
    one, two = (launched(engine, settings, recommendation) for _ in range(2))
    assert one == two
    end(engine, one["run_id"])
    three = launched(engine, settings, recommendation)
    assert (three["id"], three["state"]) == (one["id"], "finished")


def test_a_run_whose_outcome_is_known_cannot_be_forecast(engine, settings, recommend, ask):
    with reading(engine) as session:
        assert list_runs(session) == []
    ask(sizes=[1e4], tokens=[5e6])
    with reading(engine) as session:
        point = list_runs(session)[0]
    end(engine, point.id)
    again = recommend(n_params=float(point.n_params), n_tokens=float(point.n_tokens))
    with pytest.raises(RefusalError, match="is finished already; a forecast sealed now"):
        launched(engine, settings, again)


def test_a_study_has_no_recipe_to_launch(engine, settings, recommend):
    with pytest.raises(InputError, match=r"rests on a study, .* launch one that rests on a sweep"):
        launched(engine, settings, recommend(sweep=False))


def test_a_final_run_beyond_the_corpus_is_refused(engine, settings, recommend):
    with pytest.raises(InputError, match="corpus holds 100000000"):
        launched(engine, settings, recommend(n_tokens=1e10))


def test_a_cancelled_launch_keeps_its_forecast_and_may_be_taken_up_again(
    engine, settings, recommend
):
    recommendation = recommend()
    made = launched(engine, settings, recommendation)
    with writing(engine) as session:
        verbs.cancel_launch(session, made["id"])
        assert session.get_one(Run, made["run_id"]).state is RunState.CANCELLED
    again = launched(engine, settings, recommendation)
    assert (again["forecast_sha256"], again["state"]) == (made["forecast_sha256"], "queued")
    assert again["cancelled_at"] is None


def test_cancelling_a_launch_leaves_the_run_to_a_sweep_that_wants_it_too(
    engine, settings, recommend, ask
):
    made = launched(engine, settings, recommend())
    sweep_id = ask(seeds=[7])
    with writing(engine) as session:
        run = session.get_one(Run, made["run_id"])
        link(session, get_sweep(session, sweep_id), run)
        verbs.cancel_launch(session, made["id"])
        assert run.state is RunState.QUEUED
        verbs.cancel_sweep(session, sweep_id)
        assert run.state is RunState.CANCELLED


def test_a_launch_refused_for_its_processes_may_be_launched_with_fewer(
    engine, settings, recommend, ask
):
    recommendation, machine = recommend(), Need(n_cpus=1)
    made = launched(engine, settings, recommendation, n_processes=2)
    with writing(engine) as session:
        run = session.get_one(Run, made["run_id"])
        attempts.refuse(session, run, impossible(run, machine))
        assert "launch it with n_processes 1 or fewer" in run.reason
    again = launched(engine, settings, recommendation, n_processes=1)
    assert (again["id"], again["state"]) == (made["id"], "queued")
    with reading(engine) as session:
        assert impossible(session.get_one(Run, made["run_id"]), machine) is None


def test_a_sweep_leaves_a_launched_run_as_its_launch_wants_it(engine, settings, recommend):
    made = launched(engine, settings, recommend(), n_cpus=4, n_processes=2)
    with writing(engine) as session:
        run = session.get_one(Run, made["run_id"])
        asked = {"code": run.code_hash, "corpus": "other", "device": "cpu", "stack": True}
        wanted = [(RunSpec.from_dict(run.spec), ())]
        assert add_runs(session, wanted, **asked) == [run]
        assert (run.kind, run.n_cpus, run.n_processes) == (RunKind.FINAL, 4, 2)
        verbs.cancel_launch(session, made["id"])
        add_runs(session, wanted, **asked)
        assert (run.kind, run.n_cpus, run.n_processes) == (RunKind.SWEEP, 1, None)
        assert (run.corpus, run.device, run.stack) == ("other", "cpu", True)
        run.state = RunState.RUNNING
    launched(engine, settings, made["recommendation_id"])
    with reading(engine) as session:
        assert is_launched(session, session.get_one(Run, made["run_id"]))


def test_a_launch_taken_up_again_while_its_run_is_killed_runs_again(engine, settings, recommend):
    recommendation = recommend()
    made = launched(engine, settings, recommendation)
    with writing(engine) as session:
        attempt = attempts.claim(session, session.get_one(Run, made["run_id"]), worker="w")
        verbs.cancel_launch(session, made["id"])
    launched(engine, settings, recommendation)
    with writing(engine) as session:
        attempts.cancelled(session, session.get_one(Attempt, attempt.id))
        run = session.get_one(Run, made["run_id"])
        assert (run.state, run.reason) == (RunState.QUEUED, "cancelled, then asked for again")


@given(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)))
def test_one_value_has_one_text(value):
    backwards = dict(reversed(value.items()))
    assert canonical(value) == canonical(backwards)
    assert json.loads(canonical(value)) == value
