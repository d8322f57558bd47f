"""Checks whether the ledger's Redis keeps what it acknowledges: its settings, memory and replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from gateway.errors import LedgerUnavailable
from gateway.ledger.scripts import translated
from gateway.redis_link.connections import LedgerCluster, SentinelPool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis

_WANTED = {
    "appendonly": ("yes", "a restart loses acknowledged writes"),
    "appendfsync": ("always", "a crash loses the last second of acknowledged writes"),
    "maxmemory-policy": ("noeviction", "Redis may evict balances"),
}
_FAILOVER = (
    "FAREBOX_WAIT_REPLICAS is 0, and the ledger is {}: a failover loses acknowledged writes that had not reached the "
    "replica; set FAREBOX_WAIT_REPLICAS=1 or more"
)

_ITS_OWN_LOG = ("appendonly", "appendfsync")  # what says nothing of a service that is durable by another log


async def weaknesses(
    redis: Redis | LedgerCluster, masters: Sequence[Redis], wait_replicas: int, *, by_service: bool = False
) -> list[str]:
    """Settings that are weaker than durable, one sentence each with its fix; empty if there are none.

    `redis` is the ledger's client. `by_service`: an operator vouches that the service keeps what it acknowledges, also
    in a failover.

    Checks every master. For a server that does not allow its settings to be read (some managed ones), INFO is used
    instead, and what it does not contain is reported as unverified.
    """
    found: set[str] = set()
    for node in masters:
        settings, unknown = await _settings(node)
        wanted = {name: why for name, why in _WANTED.items() if not by_service or name not in _ITS_OWN_LOG}
        found.update(_weak_settings(wanted, settings, unknown))
    if not by_service:
        found.update(await _weak_failover(redis, wait_replicas))
    return sorted(found)


async def shortages(masters: Sequence[Redis], wait_replicas: int) -> list[str]:
    """Why the servers currently accept nothing new (memory, replicas), one sentence each."""
    found: set[str] = set()
    for node in masters:
        found.update(_full_memory(await reply_of(node, "INFO", "memory") or {}))
        if wait_replicas:
            found.update(_missing_replicas(await reply_of(node, "INFO", "replication"), wait_replicas))
    return sorted(found)


async def failover_hints(redis: Redis | LedgerCluster, masters: Sequence[Redis]) -> list[str]:
    """Settings with which a failover takes more away than it must, one sentence each."""
    name = "cluster-require-full-coverage"
    if not isinstance(redis, LedgerCluster):
        return []
    found = [(await reply_of(node, "CONFIG GET", name) or {}).get(name) for node in masters]
    if "yes" not in found:
        return []
    sentence = (
        f"{name} is `yes`: during a failover of one master every account is unavailable, not only those of its slots; "
        f"run CONFIG SET {name} no on every node, and set it in its configuration too"
    )
    return [sentence]


async def _weak_failover(redis: Redis | LedgerCluster, wait_replicas: int) -> list[str]:
    """What a failover may lose."""
    if isinstance(redis, LedgerCluster):
        return [] if wait_replicas else [_FAILOVER.format("a cluster")]
    pool = redis.connection_pool
    if not isinstance(pool, SentinelPool):
        return []
    if not wait_replicas:
        return [_FAILOVER.format("behind Sentinel")]
    named = len(pool.sentinel_manager.sentinels)
    every = await pool.sentinels_known()
    if every <= named:
        return []
    sentence = (
        f"the ledger's URL names {named} of {every} Sentinels: which replicas may be promoted is decided by their "
        "majority, so name them all"
    )
    return [sentence]


async def _settings(node: Any) -> tuple[Mapping[str, str], str]:
    """The node's relevant settings, and the reason why one may be missing."""
    settings = await reply_of(node, "CONFIG GET", *_WANTED)
    if settings is not None:
        return settings, "the server does not know it"
    state = {**(await reply_of(node, "INFO", "persistence") or {}), **(await reply_of(node, "INFO", "memory") or {})}
    settings = {}
    if "aof_enabled" in state:
        settings["appendonly"] = "yes" if state["aof_enabled"] else "no"
    if "maxmemory_policy" in state:
        settings["maxmemory-policy"] = state["maxmemory_policy"]
    return settings, "the server does not allow CONFIG GET"


def _weak_settings(wanting: Mapping[str, tuple[str, str]], settings: Mapping[str, str], unknown: str) -> list[str]:
    sentences = []
    for name, (wanted, consequence) in wanting.items():
        value = settings.get(name)
        if value is None:
            sentences.append(f"{name} cannot be verified: {unknown}; make sure it is `{wanted}`")
        elif value != wanted:
            sentences.append(
                f"{name} is `{value}` instead of `{wanted}`: {consequence}; run CONFIG SET {name} {wanted}, and set "
                "it in the server's configuration too"
            )
    return sentences


def _full_memory(memory: Mapping[str, Any]) -> list[str]:
    used, most = int(memory.get("used_memory", 0)), int(memory.get("maxmemory", 0))
    if not most or used < most:
        return []
    return [f"the memory is full ({used} of {most} bytes): nothing new is accepted; open generations can still end"]


def _missing_replicas(replication: Mapping[str, Any] | None, wanted: int) -> list[str]:
    if replication is None:
        return []  # unknown; failing writes will show it
    replicas = [one for name, one in replication.items() if name.startswith("slave") and isinstance(one, dict)]
    online = sum(replica.get("state") == "online" for replica in replicas)
    if online >= wanted:
        return []
    return [f"{online} of {wanted} replicas are connected (FAREBOX_WAIT_REPLICAS): nothing is accepted until all are"]


async def reply_of(node: Any, *words: str) -> dict[str, Any] | None:
    """The node's reply; None if it does not allow the command."""
    try:
        answer: dict[str, Any] = await node.execute_command(*words)
    except (RedisError, OSError, RuntimeError) as error:  # uvloop raises the last for a connection just closed
        raised = translated(error, "durability")
        if isinstance(raised, LedgerUnavailable):
            raise raised from None
        if isinstance(error, RuntimeError):
            raise
        return None
    return answer
