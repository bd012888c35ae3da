import sqlite3
import threading

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from fitting.errors import InputError
from store import events
from store.control import Event
from store.engine import make_engine, reading, writing


def test_writers_that_read_first_wait_their_turn_and_none_fails(engine):
    """The pattern that fails with "database is locked" under a plain BEGIN."""
    errors = []

    def add_one():
        for _ in range(10):
            try:
                with writing(engine) as session:
                    n = session.scalar(select(func.count()).select_from(Event))
                    events.append(session, "counted", n=n)
            except DBAPIError as e:
                errors.append(e)

    threads = [threading.Thread(target=add_one) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    with reading(engine) as session:
        counted = [event.data["n"] for event in events.after(session, 0)]
    assert not errors
    assert counted == list(range(40))  # each saw all that were committed before it


def test_an_error_rolls_everything_back(engine):
    def break_off():
        with writing(engine) as session:
            events.append(session, "x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    with reading(engine) as session:
        assert events.last_id(session) == 0


def test_foreign_keys_hold(engine):
    with pytest.raises(DBAPIError, match=r"(?i)foreign key"), writing(engine) as session:
        events.append(session, "x", sweep_id=99)


def test_reading_keeps_nothing(engine):
    with reading(engine) as session:
        events.append(session, "x")
    with reading(engine) as session:
        assert events.last_id(session) == 0


def test_a_reader_sees_one_snapshot(engine):
    with reading(engine) as before:
        assert events.last_id(before) == 0
        with writing(engine) as session:
            events.append(session, "x")
        assert events.last_id(before) == 0
    with reading(engine) as after:
        assert events.last_id(after) > 0


def test_sqlite_is_in_wal_mode_and_what_it_committed_is_on_the_disk(tmp_path):
    engine = make_engine(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
    engine.dispose()


def test_opening_a_new_file_waits_for_whoever_writes_it(tmp_path):
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE t (x)")
    other.execute("BEGIN IMMEDIATE")
    later = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    later.start()
    with make_engine(f"sqlite:///{path}").connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    later.join()
    other.close()


def test_another_database_is_refused():
    with pytest.raises(InputError, match="must be sqlite:/// or postgresql://; got mysql://"):
        make_engine("mysql://a/b")
