"""Artifacts of runs, staged artifacts, and objects that nothing names yet."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
