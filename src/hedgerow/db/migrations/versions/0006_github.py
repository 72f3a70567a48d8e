"""People's accounts on GitHub, and tokens that came with runs."""

from pathlib import Path

from hedgerow.db.migrations import execute_script

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run the SQL that stands beside this file."""
    execute_script(Path(__file__).with_suffix(".sql").read_text())
