import threading

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from store import migrate
from store.engine import make_engine
from store.errors import SchemaError


def test_the_scripts_make_exactly_the_tables_of_the_models(engine):
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), migrate.METADATA) == []


def test_every_constraint_has_a_name(engine):
    found = inspect(engine)
    for table in found.get_table_names():
        if table == "alembic_version":
            continue
        constraints = [*found.get_foreign_keys(table)]
        if table != "event":  # SQLite gives a counting key no name
            constraints.append(found.get_pk_constraint(table))
        constraints += found.get_unique_constraints(table) + found.get_check_constraints(table)
        assert all(c["name"] for c in constraints), table


def test_upgrading_twice_changes_nothing(engine):
    assert migrate.upgrade(engine) == migrate.upgrade(engine) == migrate.head()
    migrate.check(engine)


def test_an_empty_database_is_told_to_migrate(empty_url):
    engine = make_engine(empty_url)
    with pytest.raises(
        SchemaError, match=r"is at schema nothing, this program needs .* `isoflop migrate`"
    ):
        migrate.check(engine)
    engine.dispose()


def test_a_newer_schema_is_refused_with_a_message(engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for act in (migrate.check, migrate.upgrade):
        with pytest.raises(SchemaError, match=r"schema 9999, .* newer isoflop: upgrade isoflop"):
            act(engine)


def test_several_processes_may_upgrade_at_once(empty_url):
    errors = []

    def upgrade():
        engine = make_engine(empty_url)
        try:
            migrate.upgrade(engine)
        except Exception as e:  # noqa: BLE001
            errors.append(e)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert errors == []


RUN = """
    INSERT INTO run (id, kind, spec, spec_hash, code_hash, corpus, data_fingerprint, n_params,
        n_params_total, n_params_non_embedding, n_tokens, flops, budgets, device, n_cpus, state,
        n_failures, max_failures, n_preemptions, max_preemptions, n_tokens_done, created_at)
    VALUES (7, 'sweep', '{}', 's', 'c', 'code', 'd', 1, 1, 1, 1, 6, '[]', 'cpu', 1, 'running',
        0, 3, 0, 20, 0, '2026-01-01 00:00:00')
"""
ATTEMPT = """
    INSERT INTO attempt (run_id, number, worker, state, n_devices, started_at)
    VALUES (7, {number}, 'w', '{state}', {n_devices}, '2026-01-01 00:00:00')
"""


def test_rows_of_the_first_schema_are_kept_with_what_guards_them(empty_url):
    engine = make_engine(empty_url)
    writing = engine.execution_options(isoflop_write=True)
    with writing.begin() as connection:
        command.upgrade(migrate.config(connection), "0001")
        assert "energy_kwh" not in {c["name"] for c in inspect(connection).get_columns("attempt")}
        connection.execute(text(RUN))
        for number, state, n_devices in ((1, "failed", 2), (2, "running", "NULL")):
            values = {"number": number, "state": state, "n_devices": n_devices}
            connection.execute(text(ATTEMPT.format(**values)))
    migrate.upgrade(engine)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT number, n_devices FROM attempt ORDER BY number"))
        assert rows.all() == [(1, 2.0), (2, None)]
        assert connection.execute(text("SELECT stack, n_processes FROM run")).one() == (False, None)
    with pytest.raises(IntegrityError), writing.begin() as connection:  # one live attempt a run
        connection.execute(text(ATTEMPT.format(number=3, state="starting", n_devices=0.5)))
    with writing.begin() as connection:
        connection.execute(text(ATTEMPT.format(number=3, state="failed", n_devices=0.5)))
    engine.dispose()
