"""A checkpoint that failed is one of the facts of a run."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0022"
down_revision = "0020"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
