"""Alembic's folder: one file per migration in `versions/`, numbered, append only. Going back is done from a backup."""


def execute_script(sql: str) -> None:
    """Run a whole file of SQL inside the migration that is under way.

    Straight through the driver: SQLAlchemy would read colons and percent signs in it as parameters.
    """
    from alembic import op

    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(sql)
