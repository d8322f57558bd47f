"""What the product wrote, read from its append-only file, and the same again for other names.

That is how a million accounts are there within seconds, exactly as the scripts leave them, and how the floor of
`reserve` comes to be the very commands that `reserve` ran.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hiredis

Command = list[bytes]
_BATCH_BYTES = 1 << 20


class AppendOnlyFile:
    """The commands in a Redis's append-only file, in the order in which they changed it."""

    def __init__(self, redis_socket: Path) -> None:
        (self._path,) = redis_socket.parent.glob("appendonlydir/*.incr.aof")

    def end(self) -> int:
        """Where the file ends now."""
        return self._path.stat().st_size

    def since(self, position: int, end: int | None = None) -> list[list[Command]]:
        """What was written since, or up to `end`: the commands of each script or alone, without MULTI and EXEC."""
        reader = hiredis.Reader()
        with self._path.open("rb") as file:
            file.seek(position)
            reader.feed(file.read(-1 if end is None else end - position))
        groups: list[list[Command]] = []
        group: list[Command] | None = None
        while (command := reader.gets()) is not False:
            match command[0].upper():
                case b"SELECT":
                    pass
                case b"MULTI":
                    group = []
                case b"EXEC":
                    groups.append(group or [])
                    group = None
                case _ if group is None:
                    groups.append([command])
                case _:
                    group.append(command)
        return groups


def packed(commands: Iterable[Command]) -> bytes:
    """Commands as they travel."""
    return b"".join(hiredis.pack_command(tuple(command)) for command in commands)  # type: ignore[arg-type]


def unpacked(commands: bytes) -> list[Command]:
    """The reverse of `packed`."""
    reader = hiredis.Reader()
    reader.feed(commands)
    return list(iter(reader.gets, False))  # noqa: FBT003 - what it says when there is no more


def renamed(recorded: bytes, names: Mapping[str, str]) -> bytes:
    """The same commands for other names. A new name is as long as the old one: lengths travel with the texts."""
    for old, new in names.items():
        if len(old) != len(new):
            raise ValueError(f"{old!r} and {new!r} differ in length")
        recorded = recorded.replace(old.encode(), new.encode())
    return recorded


class RawConnection:
    """A connection that sends packed commands, many at a time, and counts the answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._answers = hiredis.Reader()

    @classmethod
    async def open(cls, redis_socket: Path) -> RawConnection:
        """Connect."""
        return cls(*await asyncio.open_unix_connection(str(redis_socket)))

    async def send(self, commands: bytes, count: int) -> None:
        """Send `count` commands and wait for as many answers; RuntimeError if one is an error."""
        async for answer in self.answers(commands, count):
            _check(answer)

    async def answers(self, commands: bytes, count: int) -> AsyncIterator[Any]:
        """Send `count` commands; the answer to each."""
        self._writer.write(commands)
        answered = 0
        while answered < count:
            answer = self._answers.gets()
            if answer is False:
                data = await self._reader.read(_BATCH_BYTES)
                if not data:
                    raise ConnectionError("Redis closed the connection")
                self._answers.feed(data)
                continue
            yield answer
            answered += 1

    async def send_all(self, blocks: Iterable[bytes], commands_in_each: int) -> None:
        """Send many blocks of commands, a few hundred kilobytes at a time."""
        waiting: list[bytes] = []
        size = 0
        for block in blocks:
            waiting.append(block)
            size += len(block)
            if size >= _BATCH_BYTES:
                await self.send(b"".join(waiting), len(waiting) * commands_in_each)
                waiting, size = [], 0
        await self.send(b"".join(waiting), len(waiting) * commands_in_each)

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        await self._writer.wait_closed()


@asynccontextmanager
async def tapped(redis_socket: Path) -> AsyncIterator[tuple[Path, list[Command]]]:
    """A socket that leads to this Redis, and the commands that have gone through it so far."""
    heard: list[Command] = []
    path = redis_socket.with_name("tapped.sock")

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_unix_connection(str(redis_socket))
        backwards = asyncio.create_task(_copy(to_reader, writer, lambda _: None))
        commands = hiredis.Reader()

        def hear(data: bytes) -> None:
            commands.feed(data)
            heard.extend(iter(commands.gets, False))  # noqa: FBT003 - what it says when there is no more

        await _copy(reader, to_writer, hear)
        await backwards

    async with await asyncio.start_unix_server(forward, str(path)):
        yield path, heard


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hear: Callable[[bytes], None]) -> None:
    while data := await reader.read(_BATCH_BYTES):
        hear(data)
        writer.write(data)
    writer.close()


def _check(answer: Any) -> None:
    for error in answer if isinstance(answer, list) else [answer]:
        if isinstance(error, Exception):
            raise RuntimeError("Redis refused what it took from the product") from error  # noqa: TRY004 - no type is wrong
