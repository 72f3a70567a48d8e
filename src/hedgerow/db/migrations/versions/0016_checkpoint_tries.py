"""When the files of a run were last checkpointed, or were to be."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
