"""A process's own way to one Redis: a TCP proxy that can be cut, held, or made to lose answers.

The interesting fault is the answer that never comes: the script has run, and whoever asked does not know. A line can
also deliver half an answer, and hold everything for longer than a lease and then let it through: the words of a worker
that has long been replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

_CHUNK_BYTES = 64 * 1024


class Answers(Enum):
    """What becomes of Redis's answers."""

    WHOLE = "whole"
    LOST = "lost"
    HALF = "half"


@dataclass(slots=True)
class Line:
    """Listens on a port of this machine and passes on to the Redis at `socket`."""

    socket: Path
    dice: random.Random
    port: int = 0
    answers: Answers = Answers.WHOLE
    spoilt: int = 0
    """How many answers were lost or halved: each is a command that ran without its sender hearing of it."""
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Open the line on a port of the system's choice."""
        self._open.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Take no more and cut what there is."""
        self._open.set()
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """Reset every connection at once."""
        for writer in self._writers:
            writer.transport.abort()

    def hold(self) -> None:
        """Pass nothing on from now; what is said meanwhile comes late, also from those who have given up by then."""
        self._open.clear()

    def restore(self) -> None:
        """Be a good line again."""
        self.answers = Answers.WHOLE
        self._open.set()

    async def _connected(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            redis, forth = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            back.transport.abort()
            return
        pair = {back, forth}
        self._writers |= pair
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(client, forth))
                both.create_task(self._answer(redis, back))
        except* OSError:
            pass
        finally:
            self._writers -= pair
            for writer in pair:
                writer.transport.abort()

    async def _ask(self, client: asyncio.StreamReader, redis: asyncio.StreamWriter) -> None:
        while data := await client.read(_CHUNK_BYTES):
            await self._open.wait()
            redis.write(data)
            await redis.drain()
        await self._open.wait()
        with contextlib.suppress(OSError):
            redis.write_eof()  # whoever asked has gone; what it asked for is done all the same

    async def _answer(self, redis: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await redis.read(_CHUNK_BYTES):
            await self._open.wait()
            if self.answers is not Answers.WHOLE and self.dice.random() < _SPOILT_SHARE:
                self.spoilt += 1
                if self.answers is Answers.HALF:
                    client.write(data[: len(data) // 2])
                    await client.drain()
                raise ConnectionResetError
            client.write(data)
            await client.drain()
        raise ConnectionResetError  # Redis has hung up: so do we


_SPOILT_SHARE = 0.3  # most connections get past their greeting, so that real answers are lost too
