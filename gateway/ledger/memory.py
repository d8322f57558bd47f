"""Whether the ledger's Redis keeps generations small: a hint where it does not, nothing that could lose anything.

Redis keeps a hash in one compact piece as long as no value in it is longer than `hash-max-listpack-value`, 64 bytes by
default. A generation's request is longer. As a table the same finished generation takes 3,000 bytes, not 2,000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.ledger.durability import masters, told

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster

SETTING = "hash-max-listpack-value"
COMPACT_VALUE_BYTES = 1024  # a request with a prompt of 700 bytes; the embedded Redis is started with it


async def memory_warnings(redis: Redis | RedisCluster) -> list[str]:
    """What would spare the servers memory, one sentence each with the way to do it; asks every master."""
    found: set[str] = set()
    for node in await masters(redis):
        value = (await told(node, "CONFIG GET", SETTING) or {}).get(SETTING)
        if value is not None and int(value) < COMPACT_VALUE_BYTES:
            found.add(
                f"{SETTING} is {value}: a finished generation takes about 1,000 bytes more than with "
                f"{COMPACT_VALUE_BYTES}; run CONFIG SET {SETTING} {COMPACT_VALUE_BYTES}, and set it in the server's "
                "configuration too"
            )
    return sorted(found)
