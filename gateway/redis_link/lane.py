"""The way to one server: calls made in the same iteration of the event loop share a pipeline, and its confirmation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from gateway.redis_link import batches
from gateway.redis_link.batches import Batch, Command
from gateway.redis_link.in_flight import InFlightLimit, run_surely
from gateway.redis_link.open_connections import abandon
from gateway.redis_link.scripts import sent_whole

LATE_SECONDS = 0.5  # a server answers within milliseconds; one that needs this long may have been replaced
_ENOUGH = 8  # calls: a batch of these costs little more than its contents
_WRITTEN_MAX = 4  # such batches in flight, beside those of the others

_ASKING: Command = ("ASKING",)


class Confirmation(Protocol):
    """What every reply of a batch waits for in addition: a confirmation by replicas."""

    async def ready(self) -> int:
        """Before a batch is sent: the number of the connection that will confirm it."""

    async def confirm(self, connection: int, servers: AbstractSet[str | None], /) -> None:
        """Return when everything written before this call is confirmed; `servers` answered the batch."""

    async def abandon(self) -> None:
        """Give the connection up: its server has been replaced."""


@dataclass(slots=True, eq=False)
class Call:
    """What to send, its name in errors, the future of its reply, and what its caller is told of redis-py's errors."""

    name: str
    command: Command
    answer: asyncio.Future[Any]
    translated: Callable[[BaseException, str], BaseException]
    slot: int = 0
    """Of a cluster: where its key belongs."""
    asking: bool = False
    """Of a cluster: its key has been moved already, and its slot has not."""
    give_up_at: float = 0.0
    """When it is no longer sent again, by the loop's clock."""


class Lane:
    """Sends calls to one server, in batches. `answered` gets each call with its reply or its error.

    Requests that arrive together are handled one after the other in one turn of the event loop, and a batch begins in
    the next. So that Redis does not wait for the last of them, and the gateway then for Redis, calls that are enough
    for a batch are written at once.
    """

    def __init__(
        self,
        redis: Redis,
        answered: Callable[[Call, Any], None],
        *,
        confirmation: Confirmation | None = None,
        late: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """`late` is run when a batch has waited for LATE_SECONDS, and again until it is answered."""
        self.redis = redis
        self.confirmation = confirmation
        self._answered = answered
        self._late = late
        self._checking: asyncio.Task[None] | None = None
        self._waiting: list[Call] = []
        self._in_flight = InFlightLimit(self._flush)
        self._reading: set[asyncio.Task[None]] = set()

    def submit(self, *calls: Call) -> None:
        """Send calls with the next batch, in this order; calls of different turns or `submit`s have no order."""
        self._waiting += calls
        if len(self._waiting) < _ENOUGH or not self._written():
            self._in_flight.want()

    async def abandon(self) -> None:
        """Close every connection: calls in flight end with an error, and may be repeated elsewhere."""
        await abandon(self.redis.connection_pool)
        if self.confirmation is not None:
            await self.confirmation.abandon()

    def _written(self) -> bool:
        """Write what waits, if it can be written now; what takes its replies then runs."""
        if self.confirmation is not None or len(self._reading) >= _WRITTEN_MAX:
            return False
        if any(call.asking for call in self._waiting):
            return False
        calls = self._waiting
        commands = [call.command for call in calls]
        batch = batches.write(self.redis, commands)
        if batch is None:
            return False
        self._waiting = []
        run_surely(self._reading, lambda: self._deliver(calls, replies(self.redis, commands, batch)))
        return True

    async def _flush(self) -> None:
        calls, self._waiting = self._waiting, []
        if calls:  # else they were sent before the turn ended
            await self._deliver(calls, self._answers(calls))

    async def _deliver(self, calls: Sequence[Call], coming: Awaitable[Sequence[Any]]) -> None:
        answers: Sequence[Any]
        late = self._watch()
        try:
            answers = await coming
        except BaseException as error:  # noqa: BLE001 - every waiting caller must get it, whatever it is
            answers = [error] * len(calls)
        finally:
            if late is not None:
                late.cancel()
        for call, answer in zip(calls, answers, strict=True):
            if not call.answer.done():  # its caller was not cancelled
                self._answered(call, answer)

    async def _answers(self, calls: Sequence[Call]) -> list[Any]:
        if self.confirmation is None:
            return await self._exchange(calls)
        connection = await self.confirmation.ready()
        servers: set[str | None] = set()
        answers = await self._exchange(calls, servers)
        await self.confirmation.confirm(connection, servers)
        return answers

    async def _exchange(self, calls: Sequence[Call], servers: set[str | None] | None = None) -> list[Any]:
        if not any(call.asking for call in calls):
            return await exchange(self.redis, [call.command for call in calls], servers)
        commands: list[Command] = []
        for call in calls:
            if call.asking:  # a script goes with its source: a second try would not follow ASKING
                commands += (_ASKING, sent_whole(call.command) if call.command[0] == "EVALSHA" else call.command)
            else:
                commands.append(call.command)
        answers = iter(await exchange(self.redis, commands, servers))
        return [(next(answers), next(answers))[1] if call.asking else next(answers) for call in calls]

    def _watch(self) -> _Late | None:
        return None if self._late is None else _Late(self._check)

    def _check(self) -> None:
        if self._late is not None and (self._checking is None or self._checking.done()):
            self._checking = asyncio.get_running_loop().create_task(self._late())


class _Late:
    """Calls `check` every LATE_SECONDS until it is cancelled."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._timer = asyncio.get_running_loop().call_later(LATE_SECONDS, self._strike)

    def cancel(self) -> None:
        """End it."""
        self._timer.cancel()

    def _strike(self) -> None:
        self._check()
        self._timer = asyncio.get_running_loop().call_later(LATE_SECONDS, self._strike)


async def exchange(redis: Redis, commands: Sequence[Command], servers: set[str | None] | None = None) -> list[Any]:
    """The reply to each command, in one round trip; an error from Redis is a ResponseError among them.

    `servers` gets the ids of the processes that answered: more than one if the address leads to another by now. A
    script that the server does not know (after a restart or a failover) is sent again with its source.
    """
    return await replies(redis, commands, await batches.taken(redis, commands), servers)


async def replies(
    redis: Redis, commands: Sequence[Command], batch: Batch, servers: set[str | None] | None = None
) -> list[Any]:
    """The same for a batch of these commands, which may have been written already."""
    answers = await batch.replies(servers)
    unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:
        whole = await batches.taken(redis, [sent_whole(commands[index]) for index in unknown])
        for index, answer in zip(unknown, await whole.replies(servers), strict=True):
            answers[index] = answer
    return answers
