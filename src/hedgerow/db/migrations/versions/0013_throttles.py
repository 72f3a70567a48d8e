"""Calls are counted where the operator bounds them."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
