"""Calls to a cluster: each to the node that has its key, wherever a failover or a resharding has put it meanwhile.

Every node has a lane of its own: batches, a confirmation by its own replicas, and no wait for a node that hangs. The
map of the slots is asked of all nodes at once; where they differ, the newest claim counts (the highest config epoch, as
among the nodes themselves). It is asked again when a node redirects, refuses or does not answer, or if its replicas do
not confirm.

A call that cannot be taken now is repeated for up to a second, with the same words: scripts answer a repetition as the
first time. One without an answer may have run.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.errors import ReplicasMissing
from gateway.redis_link.lane import Call, Lane

if TYPE_CHECKING:
    from gateway.redis_link.calls import Confirming
    from gateway.redis_link.connections import LedgerCluster

SLOTS = 16_384
_GIVE_UP_SECONDS = 1.0
_PAUSE_SECONDS = 0.05
_ASK_SECONDS = 0.4  # a node that takes longer to tell the map does not count
_KNOWN_SECONDS = 0.1  # younger, a map is not asked for again
_REPLICAS_SECONDS = 1.0
_LATER = ("TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "LOADING")
_NOBODY = "CLUSTERDOWN no node has this key's slot"
_GONE = frozenset({"fail", "noaddr", "handshake"})

Place = tuple[str, int]
"""Host and port of a node."""


@dataclass(slots=True)
class Map:
    """Which node has which slots, and which replicas it has that are not known to have failed."""

    owners: list[Place | None] = field(default_factory=lambda: [None] * SLOTS)
    nodes: frozenset[Place] = frozenset()
    replicas: dict[Place, frozenset[str]] = field(default_factory=dict)

    @property
    def masters(self) -> set[Place]:
        """The nodes with slots."""
        return {place for place in self.owners if place is not None}


class Cluster:
    """The nodes of a cluster. `answered` gets each call with its reply or its error."""

    def __init__(
        self, client: LedgerCluster, answered: Callable[[Call, Any], None], confirming: Confirming | None = None
    ) -> None:
        self._client = client
        self._answered = answered
        self._confirming = confirming
        self._map = Map()
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._lanes: dict[Place, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, *calls: Call) -> None:
        """Send each call to the node that has its key; those of one node in this order, while nothing fails."""
        there: defaultdict[Place | None, list[Call]] = defaultdict(list)
        for call in calls:
            call.slot = _slot_of(call.command)
            call.give_up_at = asyncio.get_running_loop().time() + _GIVE_UP_SECONDS
            there[self._map.owners[call.slot]].append(call)
        for place, some in there.items():
            self._send(some, place)

    async def masters(self) -> Sequence[Any]:
        """A client of each master. ConnectionError if no node answers."""
        await self.refresh()
        return [self._lane(place).redis for place in sorted(self._map.masters)]

    async def master_of(self, key: str) -> Any:
        """A client of the master that has a key."""
        await self.refresh()
        place = self._map.owners[key_slot(key.encode())]
        if place is None:
            raise ResponseError(_NOBODY)
        return self._lane(place).redis

    async def refresh(self) -> None:
        """Have a map from now. ConnectionError if no node answers."""
        if self._age() < _KNOWN_SECONDS:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask(), name="cluster map")
        await asyncio.shield(self._asking)

    async def replicas_of(self, place: Place) -> frozenset[str]:
        """Which replicas of a master could be promoted. Of one that may have several, by a map of this second."""
        if self.replicas_known(place) > 1 and self._age() > _REPLICAS_SECONDS:
            with contextlib.suppress(RedisConnectionError):
                await self.refresh()
        return self._map.replicas.get(place, frozenset())

    def replicas_known(self, place: Place) -> int:
        """How many there were at last."""
        return len(self._map.replicas.get(place, ()))

    def place_of(self, redis: Redis) -> Place:
        """Where a node's client connects to."""
        options = redis.connection_pool.connection_kwargs
        return options["host"], options["port"]

    def owns(self, place: Place, key: str) -> bool:
        """Whether a node has a key's slot, as far as is known."""
        return self._map.owners[key_slot(key.encode())] == place

    async def aclose(self) -> None:
        """Close every connection."""
        tasks = [*self._tasks, *filter(None, [self._asking])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            await lane.abandon()
            await lane.redis.aclose()

    # --- where calls go ---------------------------------------------------------------------------------------------

    def _send(self, calls: Sequence[Call], place: Place | None) -> None:
        if place is not None:
            self._lane(place).submit(*calls)
            return
        for call in calls:
            self._spawn(self._again(call, ResponseError(_NOBODY), pause=False))

    def _lane(self, place: Place) -> Lane:
        lane = self._lanes.get(place)
        if lane is None:
            redis = self._client.node(*place)
            lane = self._lanes[place] = Lane(
                redis,
                lambda call, answer: self._judge(call, answer, place),
                confirmation=self._confirming(redis, self) if self._confirming else None,
                late=self._look,
            )
        return lane

    def _judge(self, call: Call, answer: Any, place: Place) -> None:
        """Pass an answer on, or send its call again."""
        call.asking = False
        if isinstance(answer, ResponseError):
            self._judge_refusal(call, answer, place)
        elif isinstance(answer, RedisConnectionError | OSError) and not isinstance(answer, RedisTimeoutError):
            self._spawn(self._again(call, answer))
        else:
            if isinstance(answer, RedisTimeoutError | ReplicasMissing):
                self._spawn(self._look())  # a node that gets nothing confirmed may have been replaced
            self._answered(call, answer)

    def _judge_refusal(self, call: Call, refusal: ResponseError, place: Place) -> None:
        word, _, rest = str(refusal).partition(" ")
        guarded = call.command[0] == "EVALSHA" and int(call.command[2]) > 1
        if word == "MOVED" and asyncio.get_running_loop().time() < call.give_up_at:
            there = _place(rest, place)
            self._spawn(self._look())
            if there != place:
                self._map.owners[call.slot] = there
                self._send([call], there)
                return
        if word == "ASK" and not guarded and asyncio.get_running_loop().time() < call.give_up_at:
            call.asking = True
            self._send([call], _place(rest, place))
        elif word in {*_LATER, "MOVED"}:
            self._spawn(self._again(call, refusal))
        elif word == "ASK":  # not one of a script's keys is here any more, but others of its partition may be
            self._spawn(self._again(call, ResponseError("TRYAGAIN the slot of its keys is being moved")))
        else:
            self._answered(call, refusal)

    async def _again(self, call: Call, error: BaseException, *, pause: bool = True) -> None:
        """Send a call again, by a new map; or give it up with `error`."""
        loop = asyncio.get_running_loop()
        if pause:
            await asyncio.sleep(_PAUSE_SECONDS)
        try:
            await self.refresh()
        except RedisError as raised:
            error = raised
        if call.answer.done():
            return
        if loop.time() >= call.give_up_at:
            self._answered(call, error)
        elif self._map.owners[call.slot] is None:
            self._spawn(self._again(call, error))
        else:
            self._send([call], self._map.owners[call.slot])

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _age(self) -> float:
        return asyncio.get_running_loop().time() - self._asked_at

    # --- the map ----------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Find out who has been replaced, and leave those alone."""
        with contextlib.suppress(RedisError, OSError):
            await self.refresh()

    async def _ask(self) -> None:
        places = self._map.nodes or frozenset(self._client.seeds)
        told = await asyncio.gather(*(self._map_of(place) for place in places))
        if not any(told) and places != frozenset(self._client.seeds):
            told = await asyncio.gather(*(self._map_of(place) for place in self._client.seeds))
        if not any(told):
            raise RedisConnectionError(f"none of {len(places)} nodes of the cluster tells which slots it has")
        before, self._map = self._map.masters, _merged(filter(None, told))
        self._asked_at = asyncio.get_running_loop().time()
        for place in before - self._map.masters:
            if place in self._lanes:
                await self._lanes[place].abandon()
        for place in self._lanes.keys() - self._map.nodes - self._map.masters:
            await self._lanes.pop(place).abandon()

    async def _map_of(self, place: Place) -> list[_Told]:
        """What a node says of all nodes; empty if it does not."""
        redis: Any = self._lane(place).redis
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                text = await redis.execute_command("CLUSTER", "NODES")
        except (RedisError, OSError, TimeoutError):
            return []
        return [told for line in text.decode().splitlines() if (told := _told(line, place, tls=self._client.tls))]


@dataclass(frozen=True, slots=True)
class _Told:
    """A line of CLUSTER NODES."""

    place: Place
    name: str
    master: str
    flags: frozenset[str]
    epoch: int
    ranges: tuple[tuple[int, int], ...]


def _told(line: str, asked: Place, *, tls: bool) -> _Told | None:
    """`<id> <ip:port@cport,hostname> <flags> <master> <ping> <pong> <epoch> <link> <slot> …`."""
    words = line.split()
    address, _, host_name = words[1].partition(",")
    host, _, port = address.partition("@")[0].rpartition(":")
    flags = frozenset(words[2].split(","))
    if not host and "myself" not in flags:
        return None
    name = host_name.partition(",")[0] if tls and host_name else host or asked[0]
    ranges = []
    for word in words[8:]:
        if not word.startswith("["):  # which is a slot on its way
            first, _, last = word.partition("-")
            ranges.append((int(first), int(last or first)))
    return _Told((name, int(port)), words[0], words[3], flags, int(words[6]), tuple(ranges))


def _merged(views: Iterable[list[_Told]]) -> Map:
    """One map of several views: of two that claim a slot, the one with the higher epoch has it."""
    lines = sorted((line for view in views for line in view), key=lambda line: line.epoch)
    found = Map(nodes=frozenset(line.place for line in lines if not line.flags & _GONE))
    places = {}
    for line in lines:
        if "noaddr" not in line.flags:
            places[line.name] = line.place
        for first, last in line.ranges:
            found.owners[first : last + 1] = [line.place] * (last + 1 - first)
    replicas: dict[Place, set[str]] = {}
    for line in lines:
        if line.master in places and not line.flags & _GONE:
            replicas.setdefault(places[line.master], set()).add(f"{line.place[0]}:{line.place[1]}")
    found.replicas = {place: frozenset(names) for place, names in replicas.items()}
    return found


def _slot_of(command: Sequence[Any]) -> int:
    """The slot of a command's first key; EVALSHA's is its third argument."""
    key = command[3] if command[0] in {"EVALSHA", "EVAL"} else command[1]
    return int(key_slot(key if isinstance(key, bytes) else str(key).encode()))


def _place(rest: str, asked: Place) -> Place:
    """Of `<slot> <host>:<port>`, in a redirection; no host: the same as of the node that said so."""
    match = re.fullmatch(r"\d+ (.*):(\d+)", rest)
    if match is None:
        raise ResponseError(f"not a redirection: {rest}")
    return match[1] or asked[0], int(match[2])
