"""Engines and transactions for SQLite and PostgreSQL.

    with writing(engine) as session: ...   # BEGIN IMMEDIATE on SQLite; commits at the end
    with reading(engine) as session: ...   # sees one snapshot, writes nothing

One writer at a time, on both. Under a plain BEGIN two SQLite connections that read and then write
fail with "database is locked", whatever the timeout; a writer that says so at once only waits its
turn. On PostgreSQL writers take one advisory lock, so that what a transaction has read stays true
until it commits, ids of events follow the order of commits, and nothing deadlocks; transactions
here last milliseconds.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from json import dumps
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from fitting.errors import InputError

BUSY_TIMEOUT_S = 30
_WRITE = "isoflop_write"
_PG_LOCK = 0x150F11


def make_engine(url: str) -> Engine:
    """An engine for `sqlite:///file` or `postgresql://user:password@host/name`.

    Raises:
        InputError: another database, or no URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as e:  # says no more: there may be a password in it
        raise InputError(
            "database_url must be sqlite:///file or postgresql://user:password@host/name; got no "
            "URL",
            field="database_url",
        ) from e
    kind = parsed.get_backend_name()
    strict_json = partial(dumps, allow_nan=False)
    if kind == "sqlite":
        engine = create_engine(
            parsed,
            json_serializer=strict_json,
            connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        )
        _tune_sqlite(engine)
        return engine
    if kind == "postgresql":
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            json_serializer=strict_json,
            pool_pre_ping=True,
        )
    raise InputError(
        f"database_url must be sqlite:/// or postgresql://; got {kind}://", field="database_url"
    )


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None  # we say BEGIN ourselves
        _use_wal(dbapi)
        # FULL: what a client was told is stored survives a power cut; 5 ms a commit on a disk.
        for pragma in ("foreign_keys=ON", "synchronous=FULL"):
            dbapi.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get(_WRITE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _use_wal(dbapi: Any) -> None:
    """Of several that open a new file, one changes it to WAL; SQLite does not have the others wait
    for that, whatever their timeout."""
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            dbapi.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as e:
            if "locked" not in str(e) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """A session in a transaction that may write; commits at the end, rolls back on an error."""
    with (
        Session(engine.execution_options(**{_WRITE: True}), expire_on_commit=False) as session,
        session.begin(),
    ):
        if engine.dialect.name == "postgresql":
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PG_LOCK})
        yield session


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session for reading, of one snapshot; whatever it changed is rolled back."""
    if engine.dialect.name == "postgresql":  # whose default is a snapshot for each statement
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with Session(engine, expire_on_commit=False) as session:
        yield session
