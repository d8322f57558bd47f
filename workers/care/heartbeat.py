"""A caretaker's heartbeat, so that gateways can report when none is running."""

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
    """A process's name for operators: machine, pid, and a suffix because pids are reused."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


@dataclass(slots=True)
class Heartbeat:
    """The heartbeat of one caretaker."""

    queue: Queue
    name: str = field(default_factory=process_name)

    async def run(self) -> None:
        """Run forever."""
        while True:
            try:
                await caretaker_seen(self.queue.redis, self.name)
            except QueueUnavailable as error:
                log.debug("caretaker_not_seen", error=str(error))
            await asyncio.sleep(SEEN_EVERY_SECONDS)

    async def end(self) -> None:
        """Record that the caretaker has stopped."""
        try:
            await caretaker_gone(self.queue.redis, self.name)
        except QueueUnavailable as error:
            log.debug("caretaker_not_signed_off", error=str(error))
