"""The database goes away while runs train: nothing stops, nothing is blamed, nothing is lost."""

import shutil
import tempfile
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from store import migrate
from store.engine import make_engine, reading
from store.runs import attempts_of_run, list_runs
from store.states import RunState
from tests.databases import own_postgres
from tests.sweeper import stub
from tests.sweeper.test_faults import Dispatcher, check, kill_workers, wait_for


@pytest.fixture
def server():
    """One of its own, which may be stopped."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    made = own_postgres(folder)
    yield made
    made.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def empty_url(server):
    return server.get_uri()


@pytest.fixture
def engine(empty_url):
    made = make_engine(empty_url)
    migrate.upgrade(made)
    yield made
    made.dispose()


def done(settings):
    return sum(word == "DONE" for word, *_ in stub.side_log(settings.runs))


@pytest.mark.slow
@pytest.mark.postgres
def test_runs_go_on_without_a_database_and_are_taken_in_when_it_is_back(
    server, engine, settings, ask
):
    sweep_id = ask(seeds=[stub.SLOW, 1, 2])  # those two wait until a worker is free again
    dispatcher = Dispatcher(engine, settings)
    try:
        dispatcher.start()
        wait_for(lambda: any(w == "STEP" for w, *_ in stub.side_log(settings.runs)))
        before = done(settings)
        server.stop()
        with pytest.raises(OperationalError):
            engine.connect()
        wait_for(lambda: done(settings) >= before + 2)  # it trains and writes to its files
        time.sleep(3)
        assert dispatcher.process.poll() is None
        server.start()
        dispatcher.finish(sweep_id)
        assert dispatcher.process.poll() is None  # nobody had to start it again
    finally:
        dispatcher.kill()
        kill_workers(settings)
    check(engine, settings, sweep_id)
    with reading(engine) as session:
        runs = list_runs(session, sweep_id=sweep_id)
        assert [len(attempts_of_run(session, run.id)) for run in runs] == [1] * len(runs)
        assert {run.state for run in runs} == {RunState.FINISHED}
