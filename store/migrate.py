"""Bring a database to this program's schema, or say why not. `isoflop migrate` calls `upgrade`.

The scripts are in `store/migrations`, so a wheel carries them.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

import store.answers
import store.control
import store.models  # noqa: F401  all tables known
from store.columns import Base
from store.errors import SchemaError

METADATA = Base.metadata
_PG_LOCK = 0x150F10


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without a file."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    made.attributes["connection"] = connection
    return made


def head() -> str:
    """The revision this program was written for."""
    return str(ScriptDirectory.from_config(config()).get_current_head())


def revision(engine: Engine) -> str | None:
    """The database's revision; None if it is empty."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine) -> str:
    """Create or upgrade the schema; safe to call from several processes at once.

    Raises:
        SchemaError: the database was written by a newer isoflop.
    """
    _refuse_newer(revision(engine))
    with engine.execution_options(isoflop_write=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": _PG_LOCK})
        command.upgrade(config(connection), "head")
    return head()


def check(engine: Engine) -> None:
    """Raises SchemaError: the database is older or newer than this program, or empty."""
    found = revision(engine)
    _refuse_newer(found)
    if found != head():
        raise SchemaError(
            f"the database is at schema {found or 'nothing'}, this program needs {head()}; "
            "run `isoflop migrate`"
        )


def _refuse_newer(found: str | None) -> None:
    known = {s.revision for s in ScriptDirectory.from_config(config()).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaError(
            f"the database has schema {found}, which this program does not know (it knows up to "
            f"{head()}); it was written by a newer isoflop: upgrade isoflop, or point "
            "ISOFLOP_DATABASE_URL elsewhere"
        )
