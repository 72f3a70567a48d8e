"""The tables and functions of the job queue, as the pinned version of Procrastinate brings them."""

from procrastinate.schema import SchemaManager

from hedgerow.db.migrations import execute_script

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run Procrastinate's own SQL. A later version's changes come as migrations of their own, from its `migrations` folder."""
    execute_script(SchemaManager.get_schema())
