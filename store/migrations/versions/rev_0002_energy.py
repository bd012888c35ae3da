"""Measured energy of an attempt"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("attempt", sa.Column("energy_kwh", sa.Float(53), nullable=True))
    op.add_column("attempt", sa.Column("energy_source", sa.String(length=100), nullable=True))


def downgrade() -> None:
    op.drop_column("attempt", "energy_source")
    op.drop_column("attempt", "energy_kwh")
