"""Connections to the archive, and what its errors mean."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.errors import ArchiveUnavailable, SettingsError

if TYPE_CHECKING:
    from asyncpg import Connection, Pool

SCHEMA = "farebox"
"""The schema of all tables, so that the archive can share a database."""

_CONNECT_SECONDS = 10.0
READ_SECONDS = 10.0
"""For one page; and as long for a connection to read it with."""

_NEEDED = ("asyncpg", "alembic", "sqlalchemy")
_SETTINGS = {"application_name": "farebox", "timezone": "UTC", "search_path": SCHEMA}


def check_url(url: str) -> None:
    """SettingsError unless it is a PostgreSQL URL, and what it needs is installed."""
    if urlsplit(url).scheme not in {"postgresql", "postgres"}:
        raise SettingsError("FAREBOX_ARCHIVE_URL: must start with postgresql://")
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"FAREBOX_ARCHIVE_URL is set, but {', '.join(missing)} is not installed: pip install 'farebox[archive]'"
        )


async def connect(url: str) -> Connection:
    """A connection for writing; ArchiveUnavailable if PostgreSQL does not accept it."""
    check_url(url)
    import asyncpg  # noqa: PLC0415 - an extra

    with translated("connect"):
        return await asyncpg.connect(url, timeout=_CONNECT_SECONDS, server_settings=_SETTINGS)


async def open_pool(url: str, *, connections_max: int) -> Pool:
    """Connections for reading, opened when they are needed: PostgreSQL may be away when this process starts."""
    check_url(url)
    import asyncpg  # noqa: PLC0415 - an extra

    with translated("connect"):
        return await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=connections_max,
            timeout=_CONNECT_SECONDS,
            command_timeout=READ_SECONDS,
            server_settings=_SETTINGS,
        )


@contextlib.contextmanager
def time_limit(connection: Connection | None, seconds: float) -> Iterator[None]:
    """Close the connection if this takes longer: a server that hangs, or is cut off, never responds with an error.

    A time-out of the driver is not enough: what follows it, a rollback, waits for the same server.
    """
    if connection is None:
        yield
        return
    closing = asyncio.get_running_loop().call_later(seconds, connection.terminate)
    try:
        yield
    finally:
        closing.cancel()


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Translate the driver's errors to ArchiveUnavailable.

    The message never has the URL, which has a password, nor PostgreSQL's details, which may repeat a row.
    """
    import asyncpg  # noqa: PLC0415 - an extra
    from asyncpg.exceptions import InternalClientError  # noqa: PLC0415 - of a connection cut in mid-sentence

    try:
        yield
    except asyncpg.PostgresError as error:
        raise ArchiveUnavailable(f"{what}: {type(error).__name__}: {error.args[0]}") from None
    except (asyncpg.InterfaceError, InternalClientError, OSError, TimeoutError) as error:
        raise ArchiveUnavailable(f"{what}: {type(error).__name__}: {error}") from error
