"""Nodes say that they live with a beat, and for how long each beat counts."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
