"""A database or a disk that is away is nobody's failure: the dispatcher waits for it."""

import pytest
from sqlalchemy.exc import OperationalError

from store import curves
from store.engine import reading
from store.states import RunState
from sweeper import attempts, ingest
from sweeper.dispatcher import Dispatcher, Pace
from tests.databases import on_sqlite  # noqa: F401  its database
from tests.sweeper import stub

ONE = {"sizes": [1e4]}


def test_a_database_that_is_away_is_waited_for(ask, service, settings, engine, monkeypatch):
    sweep_id = ask(**ONE)
    service.tick_until(lambda _: len(stub.side_log(settings.runs)) > 1)
    stop = iter([False] * 3 + [True])
    monkeypatch.setattr(type(service.dispatcher), "tick", _away)
    monkeypatch.setattr(type(service.dispatcher), "adopt", lambda self: None)
    service.dispatcher.pace = type(service.dispatcher.pace)(database_s=0.01, poll_s=0.2)
    service.dispatcher.run(lambda: next(stop), drain=False)  # three times away, no error
    monkeypatch.undo()
    service.until(sweep_id, "finished")
    assert service.runs(sweep_id)[0].n_failures == 0


def test_nothing_is_looked_at_before_running_attempts_are_adopted(service, monkeypatch):
    said, tries = [], iter([True, True, False])

    def adopt(_self):
        said.append("adopt")
        if next(tries):
            _away(_self)

    stop = iter([False] * 4 + [True])
    monkeypatch.setattr(Dispatcher, "adopt", adopt)
    monkeypatch.setattr(Dispatcher, "tick", lambda _: said.append("tick"))
    service.dispatcher.pace = Pace(database_s=0.01, poll_s=0.01)
    service.dispatcher.run(lambda: next(stop), drain=False)
    assert said == ["adopt", "adopt", "adopt", "tick"]


def test_a_worker_is_free_again_where_its_run_could_not_be_claimed(
    ask, service, settings, monkeypatch
):
    sweep_id = ask(sizes=[1e4, 2e4, 3e4])
    with monkeypatch.context() as patch:
        patch.setattr(attempts, "claim", lambda *_, **__: _away(None))
        for _ in range(3):  # more often than there are workers
            with pytest.raises(OperationalError):
                service.dispatcher.tick()
    service.until(sweep_id, "finished")
    assert {run.n_failures for run in service.runs(sweep_id)} == {0}


def test_what_could_not_be_stored_is_read_again(ask, service, settings, engine, monkeypatch):
    """The last lines that its run wrote are stored too, though storing failed at first."""
    sweep_id = ask(**ONE)
    store, n_times = ingest.progress, 0

    def fail_first(*args):
        nonlocal n_times
        n_times += 1
        if n_times < 4:
            raise OperationalError("INSERT", {}, Exception("the server closed the connection"))
        store(*args)

    monkeypatch.setattr(ingest, "progress", fail_first)
    tick = Dispatcher.tick
    monkeypatch.setattr(Dispatcher, "tick", lambda self: self._patiently(lambda: tick(self)))
    service.dispatcher.pace = Pace(database_s=0.1)
    service.until(sweep_id, "finished")
    with reading(engine) as session:
        points = curves.of_run(session, service.runs(sweep_id)[0].id)
    assert [p.step for p in points] == list(range(1, stub.N_STEPS + 1))


def _away(_self):
    raise OperationalError("SELECT 1", {}, Exception("the server closed the connection"))


def test_a_full_disk_is_nobodys_failure_and_is_waited_for(ask, service, monkeypatch):
    sweep_id = ask(**ONE, seeds=[stub.BREAKS])
    with monkeypatch.context() as patch:
        service.tick_until(lambda _: service.runs(sweep_id)[0].state is RunState.RUNNING)
        patch.setattr("sweeper.resources.MIN_FREE_BYTES", 2**62)
        service.tick_until(lambda _: service.runs(sweep_id)[0].state is RunState.QUEUED)
        for _ in range(5):
            service.dispatcher.tick()
        run = service.runs(sweep_id)[0]
        assert (run.state, run.n_failures) == (RunState.QUEUED, 0)
        assert run.reason == "the disk is full; it waits for room"
    service.tick_until(lambda _: service.runs(sweep_id)[0].state is RunState.RUNNING)
