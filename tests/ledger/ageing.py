"""Makes what a ledger has kept older, as if it had been made long ago."""

from __future__ import annotations

from gateway.domain import partition_of_account
from gateway.ledger import keys
from tests.ledger.world import PARTITIONS, World


async def age_journal(world: World, milliseconds: int, account: str = "ann") -> None:
    """As if every entry so far were so much older; trimming goes by real time, which no test clock moves."""
    name = keys.journal(partition_of_account(account, PARTITIONS), account)
    for index, entry in enumerate(await world.redis.lrange(name, 0, -1)):
        number, at, rest = entry.decode().split("|", 2)
        await world.redis.lset(name, index, f"{number}|{int(at) - milliseconds}|{rest}")


async def age_account(world: World, milliseconds: int, account: str = "ann") -> None:
    """As if nobody had touched an account with grants only for so long."""
    await age_journal(world, milliseconds, account)
    name = keys.account(partition_of_account(account, PARTITIONS), account)
    for field_name, value in (await world.redis.hgetall(name)).items():
        if field_name == b"time":
            await world.redis.hset(name, "time", str(int(value) - milliseconds))
        elif field_name.startswith(b"grant:"):
            *amounts_of, expires, created = value.decode().split(",")
            aged = [str(int(moment) - milliseconds) for moment in (expires, created)]
            await world.redis.hset(name, field_name.decode(), ",".join([*amounts_of, *aged]))
