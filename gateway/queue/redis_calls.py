"""Commands and subscriptions on the queue's Redis; connection errors become QueueUnavailable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError, ResponseError

from gateway.errors import QueueUnavailable
from gateway.queue.messages import SubscriptionState
from gateway.redis_link.batches import Command
from gateway.redis_link.connections import is_closed_transport
from gateway.redis_link.lane import exchange

_SILENCE_SECONDS = 5.0
_RECONNECT_SECONDS = (0.1, 0.5, 1.0, 2.0)

log = structlog.get_logger(__name__)


async def execute(redis: Redis, *commands: Command) -> list[Any]:
    """Send commands in one round trip. Raises QueueUnavailable if one of them fails."""
    with queue_errors():
        answers = await exchange(redis, commands)
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
    return answers


@contextmanager
def queue_errors() -> Iterator[None]:
    """Turn connection errors into QueueUnavailable."""
    try:
        yield
    except (RedisError, OSError, RuntimeError) as error:
        translation = translated(error)
        if translation is error:
            raise
        raise translation from error


def translated(error: BaseException, _: str = "") -> BaseException:
    """Turn redis-py's errors into ours."""
    if isinstance(error, RedisError | OSError) or is_closed_transport(error):
        return QueueUnavailable(f"the queue's Redis is not responding: {type(error).__name__}: {error}")
    return error


async def listen(redis: Redis, channel: str) -> AsyncGenerator[bytes | SubscriptionState, None]:
    """Every message of a channel from now on, forever, and when the subscription is lost and made again.

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
            yield SubscriptionState.LOST
            await asyncio.sleep(pause)


async def _of_one_connection(redis: Redis, channel: str) -> AsyncGenerator[bytes | SubscriptionState, None]:
    pubsub = redis.pubsub()
    try:
        with queue_errors():
            await pubsub.subscribe(channel)
        silent = False
        while True:
            message = await _next_message(pubsub)
            if message is None and silent:
                raise QueueUnavailable(f"no response on the channel {channel}")
            silent = message is None
            if message is None:
                with queue_errors():
                    await pubsub.ping()
            elif message["type"] == "message":
                yield message["data"]
            elif message["type"] == "subscribe":  # redis-py subscribes again by itself when it has to connect again
                yield SubscriptionState.MADE
    finally:
        await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


async def _next_message(pubsub: PubSub) -> dict[str, Any] | None:
    with queue_errors():
        message: dict[str, Any] | None = await pubsub.get_message(timeout=_SILENCE_SECONDS)
    return message
