"""Journals may lie in the object store, or be gone."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0019"
down_revision = "0017"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
