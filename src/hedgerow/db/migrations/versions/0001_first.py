"""People, projects, keys, repositories, tasks, runs, messages and the journal."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
