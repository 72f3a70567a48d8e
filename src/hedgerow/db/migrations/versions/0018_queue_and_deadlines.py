"""Runs wait in line for a place, their preparation is tried again, and their turns are stopped before they are cut off."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
