"""Reads the archive for the ledger's calls: `gateway.ledger.older.Older`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from gateway.archive.connection import READ_SECONDS, check_url, open_pool, translated
from gateway.archive.rows import entry_text, fields_of, moment
from gateway.ledger.archiving import StoredGeneration, StoredUsage

if TYPE_CHECKING:
    from asyncpg import Pool

_CONNECTIONS_MAX = 4  # of one gateway: a page takes milliseconds
_GENERATIONS = """
    SELECT id, place, fields FROM generations
    WHERE account = $1 AND place < $2 AND finished_at IS NOT NULL AND created_at < $3
        AND ($4::text IS NULL OR member = $4)
    ORDER BY place DESC LIMIT $5
"""
_ENTRIES = """
    SELECT id, at, kind, available_after, held_after, changes, generation, key, member, reason FROM entries
    WHERE account = $1 AND id < $2 AND at < $3
    ORDER BY id DESC LIMIT $4
"""
_CALLS = "SELECT id, request, call FROM audit_log WHERE id < $1 AND id >= $2 ORDER BY id DESC LIMIT $3"
_ERASE = """
    UPDATE generations
    SET fields = jsonb_set(
        fields - ARRAY['tags', 'webhook', 'webhook_form', 'webhook_only'], '{request}', to_jsonb($2::text)
    ) || CASE WHEN fields->>'delivered' <> '0' THEN '{"outputs_deleted": "1"}'::jsonb ELSE '{}' END
    WHERE id = $1
"""
_NEVER = 253_402_300_799_000  # the end of the year 9999, in milliseconds
_HIGHEST = 2**63 - 1


class ArchiveReader:
    """A few connections, opened when something is read."""

    def __init__(self, url: str) -> None:
        """Read this archive; SettingsError if what it needs is not installed."""
        check_url(url)
        self._url = url
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            self._pool.terminate()

    async def generation(self, generation: str) -> tuple[str, StoredGeneration] | None:
        """The account of an ended generation, and the generation."""
        rows = await self._fetch(
            "SELECT account, id, place, fields FROM generations WHERE id = $1 AND finished_at IS NOT NULL", generation
        )
        return (rows[0]["account"], _generation(rows[0])) if rows else None

    async def generations(
        self, *, account: str, member: str | None, below: int | None, created_before: int | None, limit: int
    ) -> list[StoredGeneration]:
        """Ended generations whose place is below this one, newest first."""
        place = _HIGHEST if below is None else below
        before = moment(_NEVER if created_before is None else created_before)
        return [_generation(row) for row in await self._fetch(_GENERATIONS, account, place, before, member, limit)]

    async def entries(self, *, account: str, before: int, created_before: int | None, limit: int) -> list[str]:
        """Entries before this id, as stored, newest first."""
        until = moment(_NEVER if created_before is None else created_before)
        return [entry_text(row) for row in await self._fetch(_ENTRIES, account, before, until, limit)]

    async def usage(self, *, account: str, days: Sequence[str]) -> dict[str, StoredUsage]:
        """The sums of those days that there are."""
        rows = await self._fetch(
            "SELECT day, sums, by_key, by_tag FROM usage WHERE account = $1 AND day = ANY($2)",
            account,
            [date.fromisoformat(day) for day in days],
        )
        found = (
            StoredUsage(str(row["day"]), *(fields_of(row[name]) for name in ("sums", "by_key", "by_tag")))
            for row in rows
        )
        return {one.day: one for one in found}

    async def calls(self, *, before: str, since: str, limit: int) -> list[tuple[str, str, str]]:
        """The audit log's entries with ids below one and not below the other, newest first."""
        return [(row["id"], row["request"], row["call"]) for row in await self._fetch(_CALLS, before, since, limit)]

    async def erase_generation(self, generation: str, *, request: str) -> None:
        """Replace what was requested, and remove tags and webhooks."""
        await self._fetch(_ERASE, generation, request)

    async def erase_tags(self, *, account: str) -> None:
        """Remove the sums by tag."""
        await self._fetch("UPDATE usage SET by_tag = '{}' WHERE account = $1", account)

    async def _fetch(self, statement: str, *values: object) -> list[Any]:
        with translated("read"):
            pool = await self._opened()
            async with pool.acquire(timeout=READ_SECONDS) as connection:
                rows: list[Any] = await connection.fetch(statement, *values)
        return rows

    async def _opened(self) -> Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await open_pool(self._url, connections_max=_CONNECTIONS_MAX)
            return self._pool


def _generation(row: Any) -> StoredGeneration:
    return StoredGeneration(row["id"], row["place"], fields_of(row["fields"]))
