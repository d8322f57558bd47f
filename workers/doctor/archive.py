"""The archive, if there is one."""

from __future__ import annotations

from gateway.archive.connection import connect
from gateway.errors import ArchiveUnavailable, SettingsError
from workers.doctor.findings import Finding


async def check_archive(url: str) -> Finding:
    """Whether PostgreSQL accepts a connection; its tables are the archivist's."""
    try:
        connection = await connect(url)
    except SettingsError as error:
        return Finding("archive", "error", str(error))
    except ArchiveUnavailable as error:
        fix = "check that it runs, its address and password in FAREBOX_ARCHIVE_URL, and the firewall between"
        return Finding("archive", "error", f"PostgreSQL does not accept a connection: {error}", fix)
    version = connection.get_server_version()
    await connection.close()
    return Finding("archive", "ok", f"PostgreSQL {version.major}.{version.minor} responds")
