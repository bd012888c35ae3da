"""A home with a corpus that has a manifest only, and a dispatcher driven step by step."""

import time

import pytest

from store import leases
from store.engine import reading, writing
from store.runs import list_runs
from store.settings import Settings
from store.sweeps import get_sweep
from sweeper.dispatcher import Dispatcher, Pace
from sweeper.leader import LEASE
from sweeper.processes import ProcessExecutor
from sweeper.spec import parse
from sweeper.submit import plan_for, submit
from tests.databases import empty_url, engine  # noqa: F401  fixtures
from trainer.data.manifest import Manifest, Shard

SPEC = {"name": "a sweep", "sizes": [1e4, 2e4], "tokens": [1e6]}
STUB = "tests.sweeper.stub:run_job"


def manifest(n_tokens: int = 100_000_000) -> Manifest:
    def shard(split, n):
        return Shard(
            split=split, domain="python", file=f"{split}.bin", n_tokens=n, n_bytes=n,
            n_documents=1, sha256=split,
        )  # fmt: skip

    return Manifest(
        tokenizer="bytes",
        tokenizer_fingerprint="t",
        vocab_size=256,
        dtype="uint8",
        shards=(shard("train", n_tokens), shard("val", 1_000_000)),
    )


@pytest.fixture
def settings(tmp_path, request) -> Settings:
    """On the test's own database, whatever the environment says."""
    url = request.getfixturevalue("empty_url") if "engine" in request.fixturenames else ""
    made = Settings(home=tmp_path / "home", database_url=url)
    folder = made.corpora / "default"
    folder.mkdir(parents=True)
    manifest().save(folder)
    return made


@pytest.fixture
def ask(engine, settings):  # noqa: F811
    """Submit a sweep, return its id."""

    def submit_one(**changes) -> int:
        spec = parse(SPEC | changes)
        plan = plan_for(settings, spec)
        with writing(engine) as session:
            return submit(session, spec, plan).id

    return submit_one


class Service:
    """A dispatcher on local processes, ticked by the test."""

    def __init__(self, engine, settings, n_cpus=2):  # noqa: F811
        self.engine, self.settings = engine, settings
        with writing(engine) as session:
            epoch = leases.acquire(session, LEASE, "test", watch=leases.Watch(), ttl_s=9, gone=True)
        self.executor = ProcessExecutor(n_cpus=n_cpus)
        self.dispatcher = Dispatcher(
            engine=engine, settings=settings, executor=self.executor, epoch=epoch,
            payload=STUB, pace=Pace(reap_s=0.5, beat_s=0.1),
        )  # fmt: skip
        self.dispatcher.adopt()

    def until(self, sweep_id, *states, limit_s=60.0):
        """Tick until the sweep is in one of `states`."""
        return self.tick_until(lambda s: get_sweep(s, sweep_id).state.value in states, limit_s)

    def tick_until(self, true, limit_s=60.0):
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            self.dispatcher.tick()
            with reading(self.engine) as session:
                if true(session):
                    return
            time.sleep(0.02)
        raise TimeoutError

    def runs(self, sweep_id):
        with reading(self.engine) as session:
            return list_runs(session, sweep_id=sweep_id)


@pytest.fixture
def service(engine, settings):  # noqa: F811
    made = Service(engine, settings)
    yield made
    made.dispatcher.pace = Pace(drain_s=5)
    made.dispatcher.drain()
    made.executor.close()
