"""Asking the queue's Redis, and listening to it; whatever goes wrong on the way is QueueUnavailable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError, ResponseError

from gateway.errors import QueueUnavailable
from gateway.queue.hints import HintSubscription
from gateway.redis_link.batches import Command, send
from gateway.redis_link.connections import is_closed_transport
from gateway.redis_link.turns import Turns

_SILENCE_SECONDS = 5.0
_RECONNECT_SECONDS = (0.1, 0.5, 1.0, 2.0)

log = structlog.get_logger(__name__)


class Together:
    """Asks what is asked in one turn of the event loop in one round trip, as the ledger's scripts travel.

    For questions only that many requests have at once: a round trip for each costs a request more than all the rest.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = []
        self._turns = Turns(self._ask)

    def ask(self, *commands: Command) -> asyncio.Future[list[Any]]:
        """What each command is answered; QueueUnavailable if any of this turn's is not answered as it should be."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, answer))
        self._turns.want()
        return answer

    async def _ask(self) -> None:
        asked, self._waiting = self._waiting, []
        answers: list[Any] = []
        failure: BaseException | None = None
        try:
            answers = await ask(self._redis, *(command for commands, _ in asked for command in commands))
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            failure = error
        position = 0
        for commands, answer in asked:
            mine = answers[position : position + len(commands)]
            position += len(commands)
            if answer.done():  # nobody waits for it any more
                continue
            if failure is None:
                answer.set_result(mine)
            else:
                answer.set_exception(failure)


async def ask(redis: Redis, *commands: Command) -> list[Any]:
    """Send commands in one round trip; QueueUnavailable if they are not all answered as they should be."""
    with answering():
        answers = await send(redis, commands)
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
    return answers


@contextmanager
def answering() -> Iterator[None]:
    """Turn every kind of no answer into QueueUnavailable."""
    try:
        yield
    except (RedisError, OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not is_closed_transport(error):
            raise
        raise QueueUnavailable(f"the queue's Redis did not answer: {type(error).__name__}: {error}") from error


async def listen(redis: Redis, channel: str) -> AsyncGenerator[bytes | HintSubscription, None]:
    """Every message of a channel from now on, for ever, and when the subscription is lost and made again.

    Close it with `aclosing`.
    """
    failures = 0
    while True:
        try:
            async with aclosing(_of_one_connection(redis, channel)) as messages:
                async for message in messages:
                    failures = 0
                    yield message
        except QueueUnavailable as error:
            pause = _RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)]
            log.warning("listening_interrupted", channel=channel, error=str(error), again_in_seconds=pause)
            failures += 1
            yield HintSubscription.LOST
            await asyncio.sleep(pause)


async def _of_one_connection(redis: Redis, channel: str) -> AsyncGenerator[bytes | HintSubscription, None]:
    pubsub = redis.pubsub()
    try:
        with answering():
            await pubsub.subscribe(channel)
        silent = False
        while True:
            message = await _next_message(pubsub)
            if message is None and silent:
                raise QueueUnavailable(f"no answer on the channel {channel}")
            silent = message is None
            if message is None:
                with answering():
                    await pubsub.ping()
            elif message["type"] == "message":
                yield message["data"]
            elif message["type"] == "subscribe":  # redis-py subscribes again by itself when it has to connect again
                yield HintSubscription.MADE
    finally:
        await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


async def _next_message(pubsub: PubSub) -> dict[str, Any] | None:
    with answering():
        message: dict[str, Any] | None = await pubsub.get_message(timeout=_SILENCE_SECONDS)
    return message
