"""Threads of Slack, and what is posted there."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
