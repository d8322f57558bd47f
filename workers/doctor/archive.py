"""The archive, if there is one: whether it is reached, how far it is behind the ledger, and the export behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from pydantic_core import from_json

from gateway.archive.connection import connect, time_limit, translated
from gateway.archive.storing import CLAIM, GAPS
from gateway.clock import now_ms
from gateway.errors import ArchiveUnavailable, LedgerUnavailable, SettingsError
from gateway.ledger.archiving import ARCHIVE_LAG_MAX_MS
from gateway.ledger.ledger import Ledger
from workers.doctor.findings import Finding
from workers.exporting.exporter import CLAIM as EXPORT_CLAIM
from workers.exporting.exporter import CURSOR, NEWEST, REFUSED

if TYPE_CHECKING:
    from asyncpg import Connection

_START = "start `farebox archivist` with this FAREBOX_ARCHIVE_URL; the first one makes the tables"
_ANSWER_SECONDS = 30.0
# A lock's key of 64 bits is shown in two halves.
_IS_CLAIMED = """
    SELECT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32) | objid::bigint = hashtext($1)
    )
"""


async def check_archive(url: str, ledger: Ledger, *, exports: bool) -> AsyncIterator[Finding]:
    """Whether PostgreSQL accepts a connection, what the ledger still has to copy to it, gaps, and the export."""
    try:
        connection = await connect(url)
    except SettingsError as error:
        yield Finding("archive", "error", str(error))
        return
    except ArchiveUnavailable as error:
        fix = "check that it runs, its address and password in FAREBOX_ARCHIVE_URL, and the firewall between"
        yield Finding("archive", "error", f"PostgreSQL does not accept a connection: {error}", fix)
        return
    try:
        version = connection.get_server_version()
        yield Finding("archive", "ok", f"PostgreSQL {version.major}.{version.minor} responds")
        with translated("doctor"), time_limit(connection, _ANSWER_SECONDS):
            async for finding in _contents(connection, ledger, exports=exports):
                yield finding
    except ArchiveUnavailable as error:
        fix = "see that its user may read the schema `farebox`: it is the archivist's"
        yield Finding("archive", "error", f"PostgreSQL does not say what is in the archive: {error}", fix)
    except LedgerUnavailable:
        yield Finding("archive", "skipped", "how far it is behind is not known without the ledger")
    finally:
        connection.terminate()


async def _contents(connection: Connection, ledger: Ledger, *, exports: bool) -> AsyncIterator[Finding]:
    if not await connection.fetchval("SELECT to_regclass('state') IS NOT NULL"):
        yield Finding("archive", "warning", "nothing has been copied to it yet: it has no tables", _START)
        return
    known = await connection.fetchval("SELECT value FROM state WHERE name = $1", GAPS)
    if known is not None:
        yield _gaps(**from_json(known))
    if exports:
        yield await _export(connection)
    yield await _lag(connection, ledger)


async def _lag(connection: Connection, ledger: Ledger) -> Finding:
    if not await ledger.has_archive():
        return Finding("archive", "warning", "the ledger does not copy to it: no archivist has switched it on", _START)
    since = await ledger.unarchived_since()
    if since is None:
        return Finding("archive", "ok", "everything is copied")
    behind_ms = max(0, now_ms() - since)
    if behind_ms <= ARCHIVE_LAG_MAX_MS:
        return Finding("archive", "ok", f"the oldest change that is not copied is {behind_ms // 1000} s old")
    fix = "no archivist runs: start `farebox archivist`"
    if await connection.fetchval(_IS_CLAIMED, CLAIM):
        fix = "an archivist runs: see `archive_not_reached` and errors in its log, and the load of PostgreSQL"
    message = f"the archive is {behind_ms // 60_000} min behind; Redis keeps everything meanwhile, and grows"
    return Finding("archive", "warning", message, fix)


async def _export(connection: Connection) -> Finding:
    noted = await connection.fetchval("SELECT value FROM state WHERE name = $1", CURSOR)
    waiting = await connection.fetchval(NEWEST) - (0 if noted is None else int(from_json(noted)))
    refused = await connection.fetchval("SELECT value FROM state WHERE name = $1", REFUSED)
    if waiting <= 0:
        return Finding("export", "ok", "all entries of the archive are accepted as events")
    if refused is not None:
        known = from_json(refused)
        message = f"the receiver has accepted no event since {known['since']}: {known['error']}; {waiting:,} wait"
        fix = "mend the receiver, or its address in FAREBOX_EVENTS_URL; events stay in order, and none is lost"
        return Finding("export", "warning", message, fix)
    if not await connection.fetchval(_IS_CLAIMED, EXPORT_CLAIM):
        fix = "start `farebox archivist` with FAREBOX_EVENTS_URL, too"
        return Finding("export", "warning", f"{waiting:,} events wait, and no archivist exports", fix)
    return Finding("export", "ok", f"{waiting:,} events are on their way")


def _gaps(*, number: int, account: str, entry: int, at: str) -> Finding:
    message = (
        f"neither ledger nor archive has all entries of {number} accounts, last of {account} from entry {entry} on"
    )
    settled = f"DELETE FROM farebox.state WHERE name = '{GAPS}'"  # noqa: S608 - for the operator to run
    fix = f"backups of Redis and PostgreSQL from before {at} may have them: keep those. Once that is settled: {settled}"
    return Finding("archive", "error", message, fix)
