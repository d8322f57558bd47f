"""Suggests Redis settings that save memory. Only a hint: no data is at risk.

Redis stores a hash as a compact listpack while no value is longer than `hash-max-listpack-value`, by default 64 bytes.
A generation's request is longer. As a hash table, a finished generation takes 3,000 bytes instead of 2,000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.ledger.durability import reply_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

SETTING = "hash-max-listpack-value"
COMPACT_VALUE_BYTES = 1024  # fits a request with a prompt of 700 bytes; the embedded Redis uses it


async def memory_warnings(masters: Sequence[Redis]) -> list[str]:
    """Settings that would save memory, one sentence each with the command; checks every master."""
    found: set[str] = set()
    for node in masters:
        value = (await reply_of(node, "CONFIG GET", SETTING) or {}).get(SETTING)
        if value is not None and int(value) < COMPACT_VALUE_BYTES:
            found.add(
                f"{SETTING} is {value}: a finished generation takes about 1,000 bytes more than with "
                f"{COMPACT_VALUE_BYTES}; run CONFIG SET {SETTING} {COMPACT_VALUE_BYTES}, and set it in the server's "
                "configuration too"
            )
    return sorted(found)
