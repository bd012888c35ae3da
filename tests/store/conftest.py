"""One store suite, two databases: every test that takes `engine` runs on both."""

import pytest
from sqlalchemy import Engine

from store.engine import writing
from store.models import Run, Sweep
from store.states import SweepState
from tests.databases import empty_url, engine  # noqa: F401  fixtures


@pytest.fixture
def session(engine: Engine):  # noqa: F811
    """A transaction that is rolled back."""
    with writing(engine) as session:
        yield session
        session.rollback()


@pytest.fixture
def make_run(session):
    def make(i: int = 1, **columns) -> Run:
        known = {
            "spec": {"seed": i, "horizons": [1000]},
            "spec_hash": f"{i:064d}",
            "code_hash": "c" * 64,
            "corpus": "default",
            "data_fingerprint": "f" * 64,
            "n_params": 7 * 10**10,
            "n_params_total": 7 * 10**10,
            "n_params_non_embedding": 7 * 10**10,
            "n_tokens": 14 * 10**11,
            "flops": 5.9e23,
        }
        run = Run(**known | columns)
        session.add(run)
        session.flush()
        return run

    return make


@pytest.fixture
def make_sweep(session):
    def make(state: SweepState = SweepState.QUEUED) -> Sweep:
        sweep = Sweep(name="a", spec={}, state=state, price={})
        session.add(sweep)
        session.flush()
        return sweep

    return make
