"""Scans the names of all keys, in pages, on each server of the ledger."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from redis.exceptions import RedisError

from gateway.ledger.audit.reader import Reader
from gateway.ledger.scripts import translated

KEYS_AT_ONCE = 200
"""SCAN's COUNT. A key that exists throughout is returned at least once, rarely twice."""


async def scan(reader: Reader, pattern: str = "*") -> AsyncIterator[list[str]]:
    """Pages of matching names; a page may be empty. LedgerUnavailable if a server does not respond."""
    try:
        for server in await reader.ledger.servers():
            cursor = 0
            while True:
                started_at = time.monotonic()
                after, names = await server.execute_command("SCAN", cursor, "MATCH", pattern, "COUNT", KEYS_AT_ONCE)
                await reader.rest(started_at)
                yield [name.decode(errors="backslashreplace") for name in names]  # others' keys may be any bytes
                cursor = int(after)
                if cursor == 0:
                    break
    except (RedisError, OSError, RuntimeError) as error:  # uvloop raises the last for a connection just closed
        raise translated(error, "scan") from None


async def count_keys(reader: Reader) -> int:
    """The number of keys on all servers, including those that are not the ledger's."""
    try:
        return sum([await server.execute_command("DBSIZE") for server in await reader.ledger.servers()])
    except (RedisError, OSError, RuntimeError) as error:  # uvloop raises the last for a connection just closed
        raise translated(error, "dbsize") from None
