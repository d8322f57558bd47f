"""The ledger: one typed, keyword-only method per script, gathered from `life`, `accounts` and the other modules.

Every method raises LedgerUnavailable if Redis does not respond. The call may have taken effect; retrying it with the
same ids returns its first result (R11, R21).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from gateway.clock import CLOCK
from gateway.errors import LedgerBroken
from gateway.ledger import keys
from gateway.ledger.accounts import AccountOperations
from gateway.ledger.archiving import ArchiveOperations
from gateway.ledger.at_providers import ProviderOperations
from gateway.ledger.audit_log import AuditLogOperations
from gateway.ledger.bulk import BulkLedger
from gateway.ledger.care import CareOperations
from gateway.ledger.durability import failover_hints, shortages, weaknesses
from gateway.ledger.erasure import ErasureOperations
from gateway.ledger.finding import FindOperations
from gateway.ledger.life import GenerationOperations
from gateway.ledger.lists import ListOperations
from gateway.ledger.margin_records import decode_margin
from gateway.ledger.members import MemberOperations
from gateway.ledger.memory import memory_warnings
from gateway.ledger.operators import OperatorOperations
from gateway.ledger.pauses import PauseOperations
from gateway.ledger.payments import PaymentOperations
from gateway.ledger.policy import PolicyInForce
from gateway.ledger.purchases import PurchaseOperations
from gateway.ledger.records import canonical
from gateway.ledger.scripts import translated
from gateway.ledger.signing_key import SigningKeyOperations
from gateway.ledger.sums import Totals
from gateway.ledger.tokens import TokenOperations
from gateway.ledger.unapplied import UnappliedOperations
from gateway.ledger.webhooks import WebhookOperations
from gateway.redis_link.connections import LedgerCluster

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.ledger.margin_records import Earned
    from gateway.ledger.policy import PlanTerms, Policy

SCHEMA_VERSION = 1
REBUILDING = 0
"""In place of the schema version while the ledger is rebuilt: no process of any version starts on half of it."""


class Ledger(
    GenerationOperations,
    ProviderOperations,
    CareOperations,
    ListOperations,
    AccountOperations,
    MemberOperations,
    OperatorOperations,
    PaymentOperations,
    PurchaseOperations,
    UnappliedOperations,
    WebhookOperations,
    SigningKeyOperations,
    AuditLogOperations,
    PauseOperations,
    FindOperations,
    ErasureOperations,
    BulkLedger,
    TokenOperations,
    ArchiveOperations,
):
    """Credits, holds and generations in Redis."""

    async def start(self) -> None:
        """Check the schema version and number of partitions (LedgerBroken), or write them into an empty ledger.

        Also reads the ledger's time, which this process then uses.
        """
        await CLOCK.measure(self.time)
        if not await self.has_been_started():
            # Only if missing, so that starting works on a ledger whose memory is full.
            await self.command("SET", keys.META, f"{SCHEMA_VERSION},{self.partitions}", "NX")
            await self.has_been_started()

    async def has_been_started(self) -> bool:
        """Whether a process has written to it; LedgerBroken if its schema version or partitions are others."""
        found = await self._meta()
        if found is None:
            return False
        version, partitions = found.split(",")
        if int(version) == REBUILDING:
            msg = (
                "the ledger is being rebuilt, or a rebuild was interrupted: run `farebox rebuild --from-archive` to "
                "its end"
            )
            raise LedgerBroken(msg)
        if int(version) != SCHEMA_VERSION:
            msg = (
                f"the ledger has schema version {version}, this Farebox supports {SCHEMA_VERSION}: run the version of "
                "Farebox that wrote it, or a newer one"
            )
            raise LedgerBroken(msg)
        if int(partitions) != self.partitions:
            msg = (
                f"the ledger has {partitions} partitions, but this Farebox is configured for {self.partitions}: they "
                "must be equal"
            )
            raise LedgerBroken(msg)
        return True

    async def finish_rebuild(self) -> None:
        """Say that a rebuilt ledger is complete: processes may start."""
        await self.command("SET", keys.META, f"{SCHEMA_VERSION},{self.partitions}")

    async def time(self) -> int:
        """The ledger's time, in milliseconds since the epoch."""
        _, (at,) = await self.run("time", keys.policy(0))
        return int(at)

    async def _meta(self) -> str | None:
        found: bytes | None = await self.command("GET", keys.META)
        return None if found is None else found.decode()

    async def close(self) -> None:
        """Close every connection."""
        await self._calls.aclose()
        await (self.redis.close_for_good() if isinstance(self.redis, LedgerCluster) else self.redis.aclose())

    async def ping(self) -> None:
        """Return when every node of the ledger responds and, with FAREBOX_WAIT_REPLICAS, its replicas confirm."""
        try:
            await asyncio.gather(*(server.ping() for server in await self.servers()))
        except (RedisError, OSError, RuntimeError) as error:  # uvloop raises the last for a connection just closed
            raise translated(error, "ping") from None
        if self.wait_replicas:
            await self.command("EXISTS", keys.META)

    async def durability(self) -> list[str]:
        """Server settings that are weaker than durable, one sentence each; empty if there are none."""
        masters = await self.servers()
        return await weaknesses(self.redis, masters, self.wait_replicas, by_service=self.durable_by_service)

    async def shortages(self) -> list[str]:
        """Why the servers currently accept nothing new (memory, replicas), one sentence each."""
        return await shortages(await self.servers(), self.wait_replicas)

    async def failover_hints(self) -> list[str]:
        """Settings with which a failover takes more away than it must, one sentence each; empty if there are none."""
        return await failover_hints(self.redis, await self.servers())

    async def memory_warnings(self) -> list[str]:
        """Settings that would save memory, one sentence each; empty if there are none."""
        return await memory_warnings(await self.servers())

    async def publish(self, policy: Policy, *, force: bool = False) -> bool:
        """Write `policy` to every partition that has no newer one; False if one does (degraded).

        `force` dates it now, so that an older card can be put back in force.
        """
        if force:
            newest = max((one.file_time_ms for one in await self.policies_in_force() if one is not None), default=0)
            policy = replace(policy, file_time_ms=max(newest + 1, await self.time()))
        publish = partial(
            self.run,
            "publish",
            version=policy.version,
            file_time=policy.file_time_ms,
            keep_journal_ms=self.retention.journal_ms,
            keep_least_ms=min(
                kept for kept in (self.retention.journal_ms, policy.keep_archived_ms) if kept is not None
            ),
            fields=json.dumps([*_policy_fields(policy), *self.retention.further]),
        )
        replies = await asyncio.gather(*(publish(keys.policy(partition)) for partition in range(self.partitions)))
        return all(word == "published" for word, _ in replies)

    async def kept_otherwise(self) -> str | None:
        """How other gateways' retention settings differ, as a sentence; None if they do not."""
        return self.retention.difference(await self.published())

    async def policies_in_force(self, partitions: Sequence[int] | None = None) -> list[PolicyInForce | None]:
        """The card's policy in each partition, or in those given; None: no policy."""
        found = await asyncio.gather(
            *(
                self.command("HMGET", keys.policy(partition), "version", "file_time")
                for partition in (range(self.partitions) if partitions is None else partitions)
            )
        )
        return [None if version is None else PolicyInForce(version.decode(), int(at)) for version, at in found]

    async def margin(self, *, days: Sequence[str]) -> list[Earned]:
        """What generations earned and cost on these days (`2026-11-22`), of all accounts, in no order."""
        asked = (
            self.run("margins", keys.policy(partition), days=",".join(days)) for partition in range(self.partitions)
        )
        return [
            row
            for _, found in await asyncio.gather(*asked)
            for day, flat in zip(days, found, strict=True)
            if flat
            for row in decode_margin(day, dict(zip(flat[::2], flat[1::2], strict=True)))
        ]

    async def totals(self) -> Totals:
        """Sums over all partitions. The cost grows with partitions, not with accounts."""
        sums: Counter[str] = Counter()
        asked = (self.command("HGETALL", keys.totals(partition)) for partition in range(self.partitions))
        for answer in await asyncio.gather(*asked):
            sums.update({name.decode(): int(value) for name, value in answer.items()})
        overdue = await asyncio.gather(
            *(self.overdue(partition=partition, limit=1000) for partition in range(self.partitions))
        )
        return _totals(sums, sum(len(found) for found in overdue))


def _totals(sums: Mapping[str, int], overdue: int) -> Totals:
    def by_tool(state: str) -> dict[str, int]:
        return {name.removeprefix(f"{state}:"): count for name, count in sums.items() if name.startswith(f"{state}:")}

    outcomes = {}
    for name, count in sums.items():
        if name.startswith("outcome|"):
            _, tool, model, state, code = name.split("|")
            outcomes[tool, model, state, code] = count
    return Totals(
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
    allow = {
        tool: {setting: [canonical(value) for value in values] for setting, values in limits.items()}
        for tool, limits in terms.allow.items()
    }
    numbers = f"{terms.monthly_millicredits},{terms.max_waiting},{terms.head_start_ms}"
    tools = ",".join(f"{tool}:{count}" for tool, count in terms.concurrency.items())
    return ";".join((numbers, tools, json.dumps(allow) if allow else ""))


def _or_none(number: int | None) -> str:
    return "" if number is None else str(number)


def _policy_fields(policy: Policy) -> list[str]:
    fields = {
        "zone": ";".join(f"{at},{offset}" for at, offset in policy.zone_changes),
        "reset": str(policy.reset_ms),
        "daily": str(policy.daily_millicredits),
        "everyone": str(int(policy.free_for_everyone)),
        "verified": str(int(policy.free_for_verified)),
        "grace": str(policy.refund_grace_ms),
        "leftover": str(int(policy.keep_upgrade_leftover)),
        "spent": "debt" if policy.spent_is_owed else "forgive",
        "keep:archived": _or_none(policy.keep_archived_ms),
        "free": _terms(policy.free),
        "seats:free": _or_none(policy.free.seats),
        "outputs:free": _or_none(policy.free.outputs_kept_ms),
    }
    for plan, terms in policy.plans.items():
        fields[f"plan:{plan}"] = _terms(terms)
        fields[f"price:{plan}"] = ",".join(f"{months}:{cents}" for months, cents in terms.price_cents.items())
        fields[f"sale:{plan}"] = "1"
        fields[f"seats:{plan}"] = _or_none(terms.seats)
        fields[f"outputs:{plan}"] = _or_none(terms.outputs_kept_ms)
    return [item for pair in fields.items() for item in pair]
