"""A caretaker says every few seconds that it is alive, so that a gateway can say that none is."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from dataclasses import dataclass, field

import structlog

from gateway.errors import QueueUnavailable
from gateway.queue.heartbeats import SEEN_EVERY_SECONDS, caretaker_gone, caretaker_seen
from gateway.queue.queue import Queue

log = structlog.get_logger(__name__)


def process_name() -> str:
    """What operators know a process by: its machine, its number there, and something for when that comes again."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


@dataclass(slots=True)
class Heartbeat:
    """A caretaker's."""

    queue: Queue
    name: str = field(default_factory=process_name)

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            try:
                await caretaker_seen(self.queue.redis, self.name)
            except QueueUnavailable as error:
                log.debug("caretaker_not_seen", error=str(error))
            await asyncio.sleep(SEEN_EVERY_SECONDS)

    async def end(self) -> None:
        """Say that the caretaker has stopped."""
        try:
            await caretaker_gone(self.queue.redis, self.name)
        except QueueUnavailable as error:
            log.debug("caretaker_not_signed_off", error=str(error))
