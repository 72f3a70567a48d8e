"""What agents ask leave for is kept, with its one answer."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
