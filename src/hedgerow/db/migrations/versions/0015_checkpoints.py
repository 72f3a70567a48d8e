"""The newest checkpoint of a run is one of its facts."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
