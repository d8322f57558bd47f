"""Run by Alembic: migrates on the connection that `gateway.archive.migrating` passes."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="migrations",
    version_table_schema="farebox",
)
with context.begin_transaction():
    context.run_migrations()
