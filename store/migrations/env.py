"""Alembic's entry: runs the scripts on the connection that `store.migrate` hands over."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection

from store.columns import Finite, Utc
from store.migrate import METADATA


def _render(kind: str, item: Any, autogen: Any) -> str | Literal[False]:
    """Write plain SQL types into scripts: a script must not change when our classes do."""
    if kind == "type" and isinstance(item, Finite):
        return "sa.Float(53)"
    if kind == "type" and isinstance(item, Utc):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and type(item).__name__ == "JSON":
        autogen.imports.add("from sqlalchemy.dialects.postgresql import JSONB")
        return 'sa.JSON().with_variant(JSONB(), "postgresql")'
    return False


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=_render,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"])
