"""Which replicas a failover could promote, so that each of them has what is acknowledged.

`FAREBOX_WAIT_REPLICAS` is how many must always confirm. Where servers replace a master by themselves, that is not
enough: of two replicas one confirms, and the other is promoted. So each replica that could be has to confirm: all but
those that a majority of the Sentinels, or of the cluster's masters, has found unreachable, and those that are only
getting their first copy, because one that has it all is preferred.

A master that was frozen or cut off does not know that it has been replaced, and may still have, or get, a replica that
has not been told either. It does not confirm anything: the promoted replica is missing, and WAITAOF only counts, so
that another may not stand in for it, the master is asked how far each of them has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from gateway.errors import ReplicasMissing
from gateway.ledger import keys
from gateway.redis_link.connections import SentinelPool

if TYPE_CHECKING:
    from gateway.redis_link.cluster import Cluster, Place

_CHANNEL = "farebox:confirm"
"""A channel without subscribers. WAITAOF waits for the last write of its connection, and a message counts as one: so a
connection that publishes waits for everything before it, and stores nothing."""

_KEEP_SECONDS = 3600  # what is written on a cluster, where a message is none of the replicas' business
_NAMES_MAX = 1024  # tried in search of one whose slot is the node's
_FRESH_SECONDS, _STALE_SECONDS = 0.5, 1.0
_SENTINEL_SECONDS = 0.3
_DOWN = frozenset({"s_down", "o_down"})
_HISTORY = re.compile(rb"master_replid:([0-9a-f]{40})")
_OFFSET = re.compile(rb"master_repl_offset:(\d+)")
_REPLICA = re.compile(rb"slave\d+:ip=([^,]*),port=(\d+),state=(\w+),offset=(\d+)")
_ELSEWHERE = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN")

Send = Callable[..., Awaitable[Any]]


class Promotable(Protocol):
    """What a server's confirmations depend on. `send` sends a command on the connection that confirms."""

    async def connected(self, send: Send) -> None:
        """The connection is new."""

    async def write(self, send: Send) -> None:
        """Write something, so that WAITAOF waits for all that was written before."""

    async def names(self, place: Place, send: Send) -> AbstractSet[str]:
        """Which replicas (`host:port`) of the server at `place` could be promoted; ReplicasMissing if one has been."""

    async def have_it(self, names: AbstractSet[str], send: Send) -> bool:
        """Whether these replicas have what was written, once so many have confirmed.

        ReplicasMissing if the server has been a replica itself since the connection was made.
        """


class Alone:
    """A server whose replica is promoted by hand."""

    async def connected(self, send: Send) -> None:
        """Nothing to note."""

    async def write(self, send: Send) -> None:
        """Publish a message: replicas get it like a write."""
        await send("PUBLISH", _CHANNEL, "")

    async def names(self, place: Place, send: Send) -> AbstractSet[str]:  # noqa: ARG002 - nobody promotes one
        """None: the setting says how many."""
        return frozenset()

    async def have_it(self, names: AbstractSet[str], send: Send) -> bool:  # noqa: ARG002 - none is named
        """As many as have confirmed."""
        return True


class OfSentinels(Alone):
    """A server with Sentinels, which close all connections of one that they make a replica."""

    def __init__(self, pool: SentinelPool) -> None:
        self._pool = pool
        self._said: dict[Redis, Said] = {}  # by the Sentinel, of those that answered when they were asked last
        self._all_asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._known: frozenset[str] = frozenset()
        self._written_at = float("-inf")
        self._replication = Replication(b"")

    async def write(self, send: Send) -> None:
        """Publish a message, and note how far a replica that has it must have come."""
        self._written_at = _now()
        await super().write(send)
        self._replication = Replication(await send("INFO", "replication"))

    async def names(self, place: Place, send: Send) -> AbstractSet[str]:  # noqa: ARG002 - others are asked
        """Of the replicas that any Sentinel knows, those that no majority of them has found away.

        One is left out only by what they say after the write. A moment before, it may have been away, and it may have
        been promoted since. If it is away after the write, it has what was written when it is back.
        """
        age = _now() - self._all_asked_at
        if age > _FRESH_SECONDS and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask_all(), name="sentinels")
        if age > _STALE_SECONDS and self._asking is not None:
            await asyncio.shield(self._asking)
        found, left_out = self._judge(place, float("-inf"))
        if left_out:
            await self._ask([one for one, said in self._said.items() if said.asked_at < self._written_at])
            found, _ = self._judge(place, self._written_at)
        return found - self._replication.copying

    async def have_it(self, names: AbstractSet[str], send: Send) -> bool:
        """As the master says, which knows how far each has come."""
        return Replication(await send("INFO", "replication")).have(names, self._replication.offset)

    def _judge(self, place: Place, since: float) -> tuple[frozenset[str], frozenset[str]]:
        """Those that could be promoted, and the others, by what was said `since` then."""
        said = [one for one in self._said.values() if one.asked_at >= since]
        sentinels = len(self._pool.sentinel_manager.sentinels)
        found = promotable(said, place, sentinels, known=self._known, online=self._replication.online)
        named = frozenset(name for one in said for name in one.replicas)
        if len(said) > sentinels // 2:
            self._known = named
        return found, named - found - {_name(place)}

    async def _ask_all(self) -> None:
        asked_at = _now()
        await self._ask(self._pool.sentinel_manager.sentinels)
        self._all_asked_at = asked_at

    async def _ask(self, sentinels: Collection[Redis]) -> None:
        """Ask these Sentinels. One that does not answer is not waited for again until all are asked."""
        asked, asked_at, service = tuple(sentinels), _now(), self._pool.service_name
        answers = await asyncio.gather(*(_ask_sentinel(one, service, asked_at) for one in asked))
        for sentinel, answer in zip(asked, answers, strict=True):
            if sentinel in self._said and self._said[sentinel].asked_at > asked_at:
                continue  # it was asked again meanwhile
            if answer is None:
                self._said.pop(sentinel, None)
            else:
                self._said[sentinel] = answer


def _name(place: Place) -> str:
    return f"{place[0]}:{place[1]}"


def _now() -> float:
    return asyncio.get_running_loop().time()


class Said:
    """What one Sentinel says: where the master is, and which of its replicas are there or away.

    `silent`: those that it has no connection to. They may be gone. But one that is promoted while its master is well
    (an operator asked for it, or the master was frozen) loses its connections to all Sentinels, too, and only the one
    that promotes it knows why. So all have to be heard, and to say so.
    """

    def __init__(
        self, master: Sequence[bytes] | None, replicas: Sequence[Sequence[bytes]], asked_at: float = 0
    ) -> None:
        self.asked_at = asked_at
        self.master = None if master is None else (master[0].decode(), int(master[1]))
        self.replicas: set[str] = set()
        self.away: set[str] = set()
        self.unheard: set[str] = set()
        self.silent: set[str] = set()
        self.promoted: set[str] = set()
        for flat in replicas:
            replica = dict(zip(flat[::2], flat[1::2], strict=True))
            name, flags = replica[b"name"].decode(), set(replica[b"flags"].decode().split(","))
            self.replicas.add(name)
            if flags & _DOWN or replica.get(b"slave-priority") == b"0":
                self.away.add(name)
            if _is_unheard(replica, flags):
                self.unheard.add(name)
            if "disconnected" in flags:
                self.silent.add(name)
            if "promoted" in flags:
                self.promoted.add(name)

    def lacks(self, name: str, online: AbstractSet[str] = frozenset()) -> bool:
        """Whether it would not promote this one, for it has long been away, or is not known as a replica.

        Those that are `online` by the master's account are known, whether it has heard of them yet or not.
        """
        return name in self.away or (name not in online and (name not in self.replicas or name in self.unheard))


def _is_unheard(replica: Mapping[bytes, bytes], flags: AbstractSet[str]) -> bool:
    # Nothing is known of it since this master is one: it was the master before, and is gone, or back and not yet told.
    # Any other is preferred to it.
    gone = "disconnected" in flags or replica.get(b"role-reported") == b"master"
    return replica.get(b"slave-repl-offset") == b"0" and gone


class Replication:
    """What a master's INFO says: how far it is, and how far each replica (`host:port`) is."""

    def __init__(self, text: bytes) -> None:
        offset, history = _OFFSET.search(text), _HISTORY.search(text)
        self.offset = int(offset[1]) if offset else 0
        self.history = history[1] if history else b""
        self._at: dict[str, int] = {}
        copying = set()
        for host, port, state, at in _REPLICA.findall(text):
            name = f"{host.decode()}:{port.decode()}"
            if state == b"online":
                self._at[name] = int(at)
            else:
                copying.add(name)
        self.copying = frozenset(copying)
        """Those that are sent their first copy."""
        self.online = frozenset(self._at)

    def have(self, names: AbstractSet[str], offset: int) -> bool:
        """Whether each of these replicas has come so far."""
        return all(self._at.get(name, -1) >= offset for name in names)


def promotable(
    said: Sequence[Said],
    place: Place,
    sentinels: int,
    *,
    known: AbstractSet[str] = frozenset(),
    online: AbstractSet[str] = frozenset(),
) -> frozenset[str]:
    """Which replicas of the master at `place` could be promoted, as these of all the Sentinels say.

    Without a majority of them, all that any names, and those that were `known` before: others may promote one. A
    replica that is `online` by the master's account is left out only if it is down: the one that hears of it first may
    promote it, and compares it with what it heard of the others some seconds ago.
    """
    majority = sentinels // 2 + 1
    elsewhere = [one for one in said if one.master is not None and one.master != place]
    if len(elsewhere) >= majority:
        raise ReplicasMissing("the Sentinels have another master: this one has been replaced")
    own = [one for one in said if one.master == place]
    named = {name for one in own for name in one.replicas}
    if len(own) < majority:
        named |= known - {_name(place)}
        if not named:
            raise ReplicasMissing("no Sentinel says which replicas this master has")
        return frozenset(named)
    chosen = {name for one in said for name in one.promoted}  # whoever has promoted one names it as the master
    gone = {name for name in named if sum(one.lacks(name, online) for one in own) >= majority}
    if len(own) == sentinels:
        gone |= {name for name in named if all(one.lacks(name, online) or name in one.silent for one in own)}
    return frozenset((named - gone | chosen) - {_name(place)})  # whoever promoted it may still have it among them


async def _ask_sentinel(sentinel: Any, service: str, asked_at: float) -> Said | None:
    try:
        async with asyncio.timeout(_SENTINEL_SECONDS):
            # In this order: were there a failover in between, these would be the other master's replicas.
            replicas = await sentinel.execute_command("SENTINEL", "REPLICAS", service)
            master = await sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
            return Said(master, replicas, asked_at)
    except (RedisError, OSError, TimeoutError):
        return None


class OfCluster:
    """A node of a cluster.

    There a message does not reach replicas as a write does, so a key is written, in a slot that is the node's own. And
    nobody closes connections to a node that has become a replica. It may even have been made a master again, without
    what it had: so the id of its history must have stayed the same.
    """

    def __init__(self, cluster: Cluster, redis: Redis) -> None:
        self._cluster = cluster
        self._place = cluster.place_of(redis)
        self._first = self._replication = Replication(b"")
        self._written = 0

    async def connected(self, send: Send) -> None:
        """Note the id of its history."""
        self._first = self._replication = Replication(await send("INFO", "replication"))

    async def write(self, send: Send) -> None:
        """Write a key that is the node's; one that is on its way to another node is passed over."""
        for number in range(_NAMES_MAX):
            if not self._cluster.owns(self._place, keys.confirmed(number)):
                continue
            try:
                await send(*confirming_write(number))
                await self._note(send)
            except ResponseError as error:
                if not str(error).startswith(_ELSEWHERE):
                    raise
            else:
                return
        raise ReplicasMissing("the node has none of the ledger's slots any more")

    async def _note(self, send: Send) -> None:
        """Note how far a replica that has it must have come, if there may be several."""
        if self._cluster.replicas_known(self._place) > 1:
            self._written = Replication(await send("INFO", "replication")).offset

    async def names(self, place: Place, send: Send) -> AbstractSet[str]:  # noqa: ARG002 - as its client was made for
        """Its replicas, but those that the masters have agreed are gone."""
        return await self._cluster.replicas_of(self._place) - self._replication.copying

    async def have_it(self, names: AbstractSet[str], send: Send) -> bool:
        """Compare the id of its history; of several replicas also how far each has come."""
        self._replication = Replication(await send("INFO", "replication"))
        if self._replication.history != self._first.history:
            raise ReplicasMissing("the node has been a replica meanwhile")
        if self._replication.online - names and await self._has_joined(names):
            return False
        return len(names) <= 1 or self._replication.have(names, self._written)

    async def _has_joined(self, names: AbstractSet[str]) -> bool:
        """Whether there is a replica that was not on the map; it must have what is written now, too."""
        with contextlib.suppress(RedisConnectionError):
            await self._cluster.refresh()
        if await self._cluster.replicas_of(self._place) <= names:
            return False
        self._written = self._replication.offset
        return True


def confirming_write(number: int) -> tuple[str | int, ...]:
    """What is written on a cluster, so that WAITAOF waits for all that was written before."""
    return ("SET", keys.confirmed(number), "", "EX", _KEEP_SECONDS)


def promotable_of(redis: Redis, cluster: Cluster | None) -> Promotable:
    """What applies to a server, which is a node of the cluster, if there is one."""
    if cluster is not None:
        return OfCluster(cluster, redis)
    pool = redis.connection_pool
    return OfSentinels(pool) if isinstance(pool, SentinelPool) else Alone()
