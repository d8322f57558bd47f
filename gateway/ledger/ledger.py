"""The ledger: one typed, keyword-only method per script, gathered from `life`, `accounts`, `operators`, `payments`.

Every method raises LedgerUnavailable when Redis gives no answer; what was asked may then have happened, and asking
again with the same ids answers as the first time (R11, R21).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

from gateway.errors import LedgerBroken, LedgerUnavailable
from gateway.ledger import keys
from gateway.ledger import outcomes as o
from gateway.ledger.accounts import AccountOperations
from gateway.ledger.life import GenerationOperations
from gateway.ledger.operators import OperatorOperations
from gateway.ledger.payments import PaymentOperations
from gateway.ledger.records import canonical
from gateway.ledger.scripts import translated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.ledger.policy import PlanTerms, Policy

SCHEMA_VERSION = 1

_DURABLE = {
    "appendonly": ("yes", "the append-only file is off: a restart loses what was acknowledged"),
    "appendfsync": ("always", "appendfsync is not `always`: a crash loses the last second of acknowledged work"),
    "maxmemory-policy": ("noeviction", "maxmemory-policy is not `noeviction`: Redis may throw away balances"),
}
_DURABLE_NAMES: tuple[Any, ...] = tuple(_DURABLE)


class Ledger(GenerationOperations, AccountOperations, OperatorOperations, PaymentOperations):
    """Credits, holds and generations in Redis."""

    async def start(self) -> None:
        """Check the schema version and number of partitions (LedgerBroken), or write them into an empty ledger."""
        mine = f"{SCHEMA_VERSION},{self.partitions}"
        try:
            await self.redis.set(keys.META, mine, nx=True)
            found = (await self.redis.get(keys.META)).decode()
        except (RedisError, OSError) as error:
            raise translated(error, "start") from None
        if found == mine:
            return
        version, partitions = found.split(",")
        if int(version) != SCHEMA_VERSION:
            msg = (
                f"the ledger has schema version {version}, this Farebox knows {SCHEMA_VERSION}: "
                "run the version of Farebox that wrote it, or a newer one"
            )
            raise LedgerBroken(msg)
        msg = f"the ledger has {partitions} partitions, this Farebox is set to {self.partitions}: they must be the same"
        raise LedgerBroken(msg)

    async def close(self) -> None:
        """Close every connection."""
        await self.redis.aclose()

    async def ping(self) -> None:
        """Return when every node of the ledger answers."""
        try:
            await self.redis.ping()
        except (RedisError, OSError) as error:
            raise translated(error, "ping") from None

    async def durability(self) -> list[str]:
        """What is weaker than durable in the servers' settings, one sentence each; empty when all is well."""
        try:
            if isinstance(self.redis, RedisCluster):
                await self.redis.initialize()  # before its first command it knows no nodes
                nodes = [
                    await node.execute_command("CONFIG GET", *list(_DURABLE)) for node in self.redis.get_primaries()
                ]
            else:
                nodes = [await self.redis.config_get(*_DURABLE_NAMES)]
        except (RedisError, OSError) as error:
            raised = translated(error, "durability")
            if isinstance(raised, LedgerUnavailable):
                raise raised from None
            return ["the server does not allow CONFIG GET: its durability cannot be checked"]
        weaknesses = {
            sentence for node in nodes for name, (wanted, sentence) in _DURABLE.items() if node.get(name) != wanted
        }
        return sorted(weaknesses)

    async def publish(self, policy: Policy) -> bool:
        """Write `policy` to every partition unless a newer one is there; False if a newer one is (degraded)."""
        fields = _policy_fields(policy)
        replies = await asyncio.gather(
            *(
                self.run("publish", keys.policy(partition), policy.version, policy.file_time_ms, *fields)
                for partition in range(self.partitions)
            )
        )
        return all(word == "published" for word, _ in replies)

    async def totals(self) -> o.Totals:
        """Sums over all partitions: cost grows with partitions, not with accounts."""
        sums: Counter[str] = Counter()
        try:
            async with self.redis.pipeline(transaction=False) as pipeline:
                for partition in range(self.partitions):
                    pipeline.hgetall(keys.totals(partition))
                for answer in await pipeline.execute():
                    sums.update({name.decode(): int(value) for name, value in answer.items()})
        except (RedisError, OSError) as error:
            raise translated(error, "totals") from None
        overdue = await asyncio.gather(
            *(self.overdue(partition=partition, limit=1000) for partition in range(self.partitions))
        )
        return _totals(sums, sum(len(found) for found in overdue))


def _totals(sums: Mapping[str, int], overdue: int) -> o.Totals:
    def by_tool(state: str) -> dict[str, int]:
        return {name.removeprefix(f"{state}:"): count for name, count in sums.items() if name.startswith(f"{state}:")}

    outcomes = {}
    for name, count in sums.items():
        if name.startswith("outcome|"):
            _, tool, model, state, code = name.split("|")
            outcomes[tool, model, state, code] = count
    return o.Totals(
        accounts=sums.get("accounts", 0),
        open=sums.get("open", 0),
        held_millicredits=sums.get("held", 0),
        waiting=by_tool("waiting"),
        queued=by_tool("queued"),
        running=by_tool("running"),
        overdue=overdue,
        outcomes=outcomes,
        rescues={name.removeprefix("rescue|"): count for name, count in sums.items() if name.startswith("rescue|")},
    )


def _terms(terms: PlanTerms) -> str:
    return json.dumps(
        {
            "monthly": terms.monthly_millicredits,
            "concurrency": dict(terms.concurrency),
            "max_waiting": terms.max_waiting,
            "head_start": terms.head_start_ms,
            "allow": {
                tool: {setting: [canonical(value) for value in values] for setting, values in limits.items()}
                for tool, limits in terms.allow.items()
            },
        }
    )


def _policy_fields(policy: Policy) -> list[str]:
    fields = {
        "zone": ";".join(f"{at},{offset}" for at, offset in policy.zone_changes),
        "reset": str(policy.reset_ms),
        "daily": str(policy.daily_millicredits),
        "everyone": str(int(policy.free_for_everyone)),
        "grace": str(policy.refund_grace_ms),
        "leftover": str(int(policy.keep_upgrade_leftover)),
        "free": _terms(policy.free),
    }
    for plan, terms in policy.plans.items():
        fields[f"plan:{plan}"] = _terms(terms)
        fields[f"sale:{plan}"] = "1"
    return [item for pair in fields.items() for item in pair]
