"""Brings the archive's tables up to this version. One process does it, the others wait."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.archive.connection import SCHEMA, connect, time_limit, translated
from gateway.errors import SettingsError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

_LOCK = 0x66617265626F78  # "farebox": PostgreSQL's advisory locks are numbers
_LOOK_SECONDS = 30.0

NEWEST = "0001"
"""This version's revision: the newest in `migrations/versions`."""


async def migrate(url: str) -> tuple[str | None, str]:
    """Migrate to this version's tables; the revision before (None: there was none) and the one after."""
    if await _revision(url) == NEWEST:  # importing Alembic takes half a second
        return NEWEST, NEWEST
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - an extra
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: connect(url), poolclass=NullPool)
    try:
        with translated("migrate"):
            async with engine.begin() as connection:
                return await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


async def _revision(url: str) -> str | None:
    connection = await connect(url)
    try:
        with translated("migrate"), time_limit(connection, _LOOK_SECONDS):
            if await connection.fetchval("SELECT to_regclass('farebox.migrations')") is None:
                return None
            revision: str | None = await connection.fetchval("SELECT version_num FROM farebox.migrations")
            return revision
    finally:
        connection.terminate()


def _migrate(connection: Connection) -> tuple[str | None, str]:
    from alembic import command  # noqa: PLC0415 - an extra
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from sqlalchemy import text  # noqa: PLC0415

    logging.getLogger("alembic").setLevel(logging.WARNING)  # `archive_migrated` says it in one line
    config = _config(connection)
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    known = MigrationContext.configure(
        connection, opts={"version_table": "migrations", "version_table_schema": SCHEMA}
    ).get_current_revision()
    scripts = ScriptDirectory.from_config(config)
    if known is not None and known not in {script.revision for script in scripts.walk_revisions()}:
        raise SettingsError(
            f"FAREBOX_ARCHIVE_URL: the archive's tables are of a newer version (revision {known}, this Farebox knows "
            f"{NEWEST}): run that version, or a newer one"
        )
    command.upgrade(config, NEWEST)
    return known, NEWEST


def _config(connection: Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - an extra

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
