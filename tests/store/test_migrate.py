import threading

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

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


def test_attempts_from_before_the_meters_keep_their_rows(empty_url):
    engine = make_engine(empty_url)
    with engine.execution_options(isoflop_write=True).begin() as connection:
        command.upgrade(migrate.config(connection), "0001")
        assert "energy_kwh" not in {c["name"] for c in inspect(connection).get_columns("attempt")}
        connection.execute(
            text(
                "INSERT INTO sweep (name, spec, state, price, notes, created_at) VALUES ('old', '{}', 'queued', '{}', '[]', '2026-01-01 00:00:00')"
            )
        )
    migrate.upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM sweep")).scalar_one() == "old"
        assert {"energy_kwh", "energy_source"} <= {
            c["name"] for c in inspect(connection).get_columns("attempt")
        }
    engine.dispose()
