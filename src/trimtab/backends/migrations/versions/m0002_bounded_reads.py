"""What an entry is about, and indexes for what screens and the outbox ask for."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_journal_kind": ["kind", "seq"],
    "ix_journal_deployment_kind": ["deployment", "kind", "seq"],
}
ABOUT = {
    "$.event.incident.id": "'incident_opened', 'incident_updated'",
    "$.event.incident": "'incident_closed'",
    "$.event.run": "'run_requested', 'run_succeeded', 'run_failed'",
}
"""Where the content of an entry names its subject, by kinds."""


def upgrade() -> None:
    """Add the column, fill it for what is recorded, and index."""
    op.add_column("journal", sa.Column("subject", sa.String(300), nullable=True))
    for place, kinds in ABOUT.items():
        named = f"json_extract(content, '{place}')"
        op.execute(f"UPDATE journal SET subject = {named} WHERE kind IN ({kinds})")
    for name, columns in INDEXES.items():
        op.create_index(name, "journal", columns)
    op.create_index(
        "ix_journal_subject",
        "journal",
        ["subject", "kind", "seq"],
        sqlite_where=sa.text("subject IS NOT NULL"),
    )
    op.create_index("ix_outbox_done", "outbox", ["done", "position"])


def downgrade() -> None:
    """Take all of it away."""
    op.drop_index("ix_outbox_done", "outbox")
    for name in ("ix_journal_subject", *INDEXES):
        op.drop_index(name, "journal")
    op.drop_column("journal", "subject")
