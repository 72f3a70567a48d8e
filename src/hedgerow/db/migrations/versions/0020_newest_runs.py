"""The newest run of a task is the one with the highest number."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
