"""Runs trained together, each holding a share of a device"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "run", sa.Column("stack", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    with op.batch_alter_table("attempt") as table:
        table.alter_column("n_devices", type_=sa.Float(53), existing_type=sa.Integer())


def downgrade() -> None:
    with op.batch_alter_table("attempt") as table:
        table.alter_column("n_devices", type_=sa.Integer(), existing_type=sa.Float(53))
    op.drop_column("run", "stack")
