"""Processes that train a run together"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("run", sa.Column("n_processes", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("run", "n_processes")
