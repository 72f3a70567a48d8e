"""Why an agent could not finish its turn is one of the facts of a run."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
