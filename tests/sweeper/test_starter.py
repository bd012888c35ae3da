"""What is started, what is refused, and what happens where starting itself fails."""

from store.engine import writing
from store.runs import get_run
from store.states import RunState
from store.sweeps import get_sweep
from sweeper.executor import Need
from sweeper.processes import ProcessExecutor
from tests.databases import on_sqlite  # noqa: F401  its database

ONE = {"sizes": [1e4]}


def test_no_more_run_at_once_than_there_are_cores(ask, service, settings):
    sweep_id = ask(seeds=[0, 1, 2])
    most = 0

    def done(session):
        nonlocal most
        most = max(most, sum(r.state is RunState.RUNNING for r in service.runs(sweep_id)))
        return get_sweep(session, sweep_id).state.value == "finished"

    service.tick_until(done)
    assert most == 2


def test_a_run_of_other_code_is_refused_and_says_why(ask, service, engine):
    sweep_id = ask(**ONE)
    with writing(engine) as session:
        get_run(session, service.runs(sweep_id)[0].id).code_hash = "0" * 64
    service.until(sweep_id, "failed")
    assert "planned with trainer code 000000000000" in service.runs(sweep_id)[0].reason
    assert "submit it again" in service.runs(sweep_id)[0].reason


def test_a_run_of_code_that_changed_under_the_service_is_trained(ask, service):
    service.dispatcher.starter.code = "0" * 64  # of the sources as they were when it started
    sweep_id = ask(**ONE)
    service.until(sweep_id, "finished")


def test_a_run_for_a_gpu_that_is_not_there_is_refused(ask, service):
    sweep_id = ask(**ONE, device="cuda", priced_as="h100-sxm")
    service.until(sweep_id, "failed")
    assert "there is no GPU among the workers" in service.runs(sweep_id)[0].reason


def test_submitted_again_for_any_device_it_is_trained(ask, service):
    sweep_id = ask(**ONE, device="cuda", priced_as="h100-sxm")
    service.until(sweep_id, "failed")
    again = ask(**ONE, device="auto")
    assert service.runs(again)[0].id == service.runs(sweep_id)[0].id
    service.until(again, "finished")


def test_a_corpus_whose_folder_was_renamed_is_found_by_its_new_name(ask, service, settings):
    sweep_id = ask(**ONE)
    (settings.corpora / "default").rename(settings.corpora / "renamed")
    ask(**ONE, data="renamed")
    assert service.runs(sweep_id)[0].corpus == "renamed"


def test_what_could_not_be_started_is_tried_again_and_holds_no_core(ask, service, monkeypatch):
    def full(_self, worker, jobs):
        raise OSError(28, "No space left on device")

    sweep_id = ask(**ONE)
    with monkeypatch.context() as patch:
        patch.setattr(ProcessExecutor, "start", full)
        service.dispatcher.tick()
    run = service.runs(sweep_id)[0]
    assert (run.state, run.n_failures) == (RunState.QUEUED, 1)
    assert run.reason == "could not be started: [Errno 28] No space left on device"
    assert service.executor.n_free(Need()) == 2
    service.until(sweep_id, "finished")
