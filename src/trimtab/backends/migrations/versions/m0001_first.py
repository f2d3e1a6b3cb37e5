"""Journal, outbox, leader, releases, snapshots and segments."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    _create_history()
    op.create_table(
        "releases",
        sa.Column("digest", sa.String(80), primary_key=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
        sa.UniqueConstraint("model", "number", name="uq_releases_model"),
    )
    op.create_table(
        "snapshots",
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "segments",
        sa.Column("deployment", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("writer", sa.String(64), primary_key=True),
        sa.Column("first_sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last_sequence", sa.Integer, nullable=False),
        sa.Column("path", sa.String(400), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("min_event", sa.Float, nullable=True),
        sa.Column("max_event", sa.Float, nullable=True),
    )


def _create_history() -> None:
    op.create_table(
        "journal",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("deployment", sa.String(64), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("ix_journal_deployment", "journal", ["deployment", "seq"])
    op.create_table(
        "outbox",
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("id", sa.String(300), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.UniqueConstraint("id", name="uq_outbox_id"),
    )
    op.create_table(
        "leader",
        sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("holder", sa.String(200), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for name in ("segments", "snapshots", "releases", "leader", "outbox"):
        op.drop_table(name)
    op.drop_index("ix_journal_deployment", "journal")
    op.drop_table("journal")
