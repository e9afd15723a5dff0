"""Where Alembic enters: on the connection, and in the transaction, that `Database.migrate` hands over."""

from alembic import context

from coworkai.common.control.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
