"""What Alembic runs for each call: our migrations, on the connection that `db/migrate.py` hands over."""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("Run migrations through `hedgerow admin migrate`, which holds the lock that they need.")

context.configure(connection=connection, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
