"""What all of the ledger's operations share: the connection, the partitions, the settings passed to scripts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import RedisError

from gateway.domain import State, partition_of_account, partition_of_generation
from gateway.errors import LedgerBroken
from gateway.ledger import keys, outcomes
from gateway.ledger.generation_records import decode_dispatch, decode_dispatches, decode_generation
from gateway.ledger.promotable import promotable_of
from gateway.ledger.records import decode_account
from gateway.ledger.replicas import Replicas
from gateway.ledger.retention import Retention
from gateway.ledger.scripts import SCRIPTS, translated
from gateway.redis_link.calls import Calls, Reply
from gateway.redis_link.connections import LedgerCluster
from gateway.redis_link.scripts import Argument

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio import Redis

    from gateway.ledger.older import Older
    from gateway.redis_link.batches import Command
    from gateway.redis_link.cluster import Cluster

PARTITIONS = 64
USUAL = Retention()

T = TypeVar("T")


class LedgerCore:
    """Builds keys, runs scripts, and decodes what replies have in common."""

    def __init__(
        self,
        redis: Redis | LedgerCluster,
        *,
        lease_ms: int = 30_000,
        dispatch_ms: int = 2_000,
        retention: Retention = USUAL,
        wait_replicas: int = 0,
        partitions: int = PARTITIONS,
    ) -> None:
        """Use `redis` with this number of partitions; the rest is passed to scripts.

        `lease_ms`: how long an attempt may go without renewing its lease. `dispatch_ms`: how long a queued generation
        may go undispatched. `retention`: how long ended generations are kept (gateways only). `wait_replicas`: how many
        replicas must have a write on disk before it is acknowledged.
        """
        self.redis = redis
        self.partitions = partitions
        self.lease_ms = lease_ms
        self.dispatch_ms = dispatch_ms
        self.retention = retention
        self.outputs_kept_ms = retention.outputs_ms
        self.wait_replicas = wait_replicas
        self.durable_by_service = False
        """Whether an operator vouches that the service keeps what it acknowledges: its settings are not verified."""
        self.older: Older | None = None
        """What this ledger no longer keeps: the archive, if this process reads one."""
        self._calls = Calls(
            redis,
            SCRIPTS,
            translated,
            confirming=self._replicas if wait_replicas else None,
            guard=keys.never,
        )
        self._follow_up: Callable[[object], None] | None = None

    def _replicas(self, server: Redis, cluster: Cluster | None) -> Replicas:
        return Replicas(server, self.wait_replicas, promotable_of(server, cluster))

    def follow_up_by(self, after: Callable[[object], None]) -> None:
        """Call `after` with every outcome of a transition, before the caller gets it: `gateway.queue.follow_ups`.

        `after` must not raise or block: the credits have moved already.
        """
        self._follow_up = after

    def moved(self, outcome: T) -> T:
        """Start the follow-ups of an outcome, and return it. Every transition's method returns through this."""
        if self._follow_up is not None:
            self._follow_up(outcome)
        return outcome

    def account_key(self, account: str) -> str:
        """The Redis key of an account."""
        return keys.account(partition_of_account(account, self.partitions), account)

    def generation_key(self, generation: str) -> str:
        """The Redis key of a generation; ValueError if it is not a generation id."""
        return keys.generation(partition_of_generation(generation), generation)

    async def run(self, name: str, key: str, /, **arguments: Argument | None) -> tuple[str, Reply]:
        """Run a script with its arguments by name; its reply as the outcome's word and the rest."""
        reply = await self._calls.run(name, key, **arguments)
        return reply[0].decode(), reply[1:]

    async def command(self, *words: Argument) -> Any:
        """Run a plain command on one key, with a script's guarantees; LedgerUnavailable if Redis does not respond."""
        return await self._calls.command(*words)

    async def servers(self) -> Sequence[Any]:
        """Clients of the server, or of all masters of the cluster; LedgerUnavailable if it tells no masters."""
        try:
            return await self._calls.servers()
        except (RedisError, OSError, RuntimeError) as error:  # uvloop raises the last for a connection just closed
            raise translated(error, "servers") from None

    async def commands(self, commands: Sequence[Command]) -> list[Any]:
        """Run plain commands one after the other, in one batch of scripts; on a cluster, those of each node."""
        return await asyncio.gather(*self._calls.commands(commands))

    def calls_beside(self, translated: Callable[[BaseException, str], BaseException]) -> Calls:
        """For commands that the queue has on the ledger's server: in the batches of the ledger, with its own errors."""
        return self._calls.sharing(translated)

    async def published(self) -> dict[str, str]:
        """The policy last published."""
        flat = await self.command("HGETALL", keys.policy(0))
        return {name.decode(): text.decode() for name, text in flat.items()}

    def ended(self, rest: Reply, *, job_is_over: bool = False) -> outcomes.Ended:
        """The reply of an ending. If `job_is_over`, there is no job to stop, unless a cancel cut it short."""
        ref, (generation, fields), promoted = rest
        ended = decode_generation(generation.decode(), fields)
        stops = not job_is_over or ended.state is State.CANCELLED
        return self.moved(outcomes.Ended(ended, decode_dispatches(promoted), (stops and ref.decode()) or None))

    def requeued(self, rest: Reply) -> outcomes.Requeued:
        """The reply of a move to `queued`."""
        return self.moved(outcomes.Requeued(self.queued(rest), decode_dispatches(rest[1]) if len(rest) > 1 else ()))

    @staticmethod
    def queued(rest: Reply) -> outcomes.Dispatch:
        """The dispatch in the reply of a move to `queued`."""
        dispatch = decode_dispatch(rest[0])
        if dispatch is None:
            msg = "a script requeued a generation without saying which"
            raise LedgerBroken(msg)
        return dispatch

    def applied(self, rest: Reply, account: str) -> outcomes.Applied:
        """The reply of an operator's change."""
        note, view, promoted = rest
        applied = outcomes.Applied(decode_account(account, view), decode_dispatches(promoted), note.decode() or None)
        return self.moved(applied)

    @staticmethod
    def unexpected(script: str, word: str) -> LedgerBroken:
        """The error for a word that this script should not reply."""
        return LedgerBroken(f"{script} replied {word!r}")


def texts(items: Sequence[bytes]) -> tuple[str, ...]:
    """A reply's elements as text."""
    return tuple(item.decode() for item in items)
