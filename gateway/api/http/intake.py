"""Bodies that are files: taken in piece by piece, so that none is ever in memory as a whole, and looked into.

A file lies in the data folder under no name while it is looked at: whatever happens to the process, nothing is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import math
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from aiohttp import web

from gateway.api import limits
from gateway.api.errors import BodyTooLarge, BodyTooSlow, RateLimited
from gateway.errors import OutputNotStored
from gateway.local import data_folder
from gateway.media import OPENING_BYTES, FairInspections, Media, Readers, TimeUsedUp, converted_by_opening
from gateway.outputs import OutputStore
from gateway.schemas.errors import RateLimitedDetails

_BLOCK_BYTES = 1024 * 1024  # what is collected before it is written: beside it, a hop to a thread costs nothing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Received:
    """A body that has come in whole."""

    file: BinaryIO
    bytes: int
    sha256: str


class Intake:
    """How many files come in at once, of whom, and how many are looked into."""

    def __init__(self, folder: Path) -> None:
        """Keep files in `folder` while they are looked at; it is made when it is first needed."""
        self._folder = folder
        self._by_account: Counter[str] = Counter()
        self._readers = Readers()
        self._inspections = FairInspections(
            at_once=limits.INSPECTIONS_MAX, of_one=1, seconds_a_minute=limits.INSPECTION_SECONDS_A_MINUTE, refuses=True
        )
        self._stores = asyncio.Semaphore(limits.STORES_MAX)

    async def close(self) -> None:
        """End the processes that look into files."""
        await self._readers.close()

    @property
    def coming_in(self) -> int:
        """How many files come in now."""
        return self._by_account.total()

    @contextlib.asynccontextmanager
    async def received(self, request: web.Request, account: str) -> AsyncIterator[Received]:
        """The request's body as a file, which is gone afterwards.

        RateLimited, BodyTooLarge or BodyTooSlow; OutputNotStored if the disk of this machine is full.
        """
        if (request.content_length or 0) > limits.UPLOAD_MAX_BYTES:
            raise _too_large()
        with self._place(account):
            file = await _on_disk(self._open)
            try:
                yield await _receive(request, file)
            finally:
                file.close()

    @contextlib.asynccontextmanager
    async def inspected(self, body: Received, account: str) -> AsyncIterator[tuple[Media, Received]]:
        """What a file is, and what of it is to be kept: itself, or a picture that few could read as one that all can.

        MediaUnreadable, or RateLimited if the account's files have taken too much time of late.
        """
        if not await _on_disk(lambda: _is_converted(body.file)):
            yield await self._in_turn(account, lambda: self._readers.inspect(body.file)), body
            return
        with await _on_disk(self._open) as into:
            media = await self._in_turn(account, lambda: self._readers.convert(body.file, into))
            yield media, await _on_disk(lambda: _received(into))

    async def _in_turn(self, account: str, inspect: Callable[[], Coroutine[Any, Any, Media]]) -> Media:
        """Few at once: the largest takes a gigabyte of memory, in another process.

        Whoever has files that take long waits for itself alone.
        """
        try:
            return await self._inspections.inspect(account, inspect)
        except TimeUsedUp as error:
            seconds = limits.INSPECTION_SECONDS_A_MINUTE
            raise RateLimited(
                f"Rate limit exceeded: {seconds:g} seconds of upload inspection per minute per account. Files that "
                "take long to inspect, such as large animated images, use it up even when they are rejected. Nothing "
                "was stored.",
                RateLimitedDetails(seconds_a_minute=seconds),
                headers={"Retry-After": str(max(1, math.ceil(error.retry_after_seconds)))},
            ) from None
        except OSError as error:
            raise OutputNotStored(f"cannot inspect an upload: {error.strerror}") from error

    async def store(self, outputs: OutputStore, object_key: str, body: Received) -> None:
        """Put what has come in into the object store; OutputNotStored."""
        async with self._stores:
            await outputs.put_file(object_key, body.file, body.bytes)

    def _open(self) -> BinaryIO:
        data_folder.make(self._folder)
        # Unbuffered, for blocks are large; closed, and thereby deleted, by whoever asked for it.
        return tempfile.TemporaryFile(dir=self._folder, buffering=0)

    @contextlib.contextmanager
    def _place(self, account: str) -> Iterator[None]:
        if self._by_account[account] >= limits.UPLOADS_MAX:
            raise RateLimited(
                f"Too many concurrent uploads (limit: {limits.UPLOADS_MAX} per account). Retry when one has finished.",
                RateLimitedDetails(uploads_max=limits.UPLOADS_MAX),
                headers={"Retry-After": str(limits.UPLOADS_RETRY_SECONDS)},
            )
        self._by_account[account] += 1
        try:
            yield
        finally:
            self._by_account[account] -= 1
            if not self._by_account[account]:
                del self._by_account[account]


async def _receive(request: web.Request, file: BinaryIO) -> Received:
    """Read the body into `file`, as long as it comes fast enough and is not too long; its bytes, unpacked."""
    loop = asyncio.get_running_loop()
    started_at, size, digest, block = loop.time(), 0, hashlib.sha256(), bytearray()
    patience = asyncio.timeout(limits.BODY_SECONDS)

    def write() -> None:
        # A disk that is full takes what fits and says so by the count alone; only the next write would be an error.
        if file.write(block) != len(block):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        digest.update(block)

    try:
        async with patience:
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > limits.UPLOAD_MAX_BYTES:
                    raise _too_large()
                block += chunk
                if len(block) >= _BLOCK_BYTES:
                    await _on_disk(write)
                    block.clear()
                # What has come buys time for the rest, so a large file may take minutes and a dribbled one may not.
                patience.reschedule(started_at + limits.BODY_SECONDS + size / limits.UPLOAD_BYTES_PER_SECOND)
    except TimeoutError:
        raise BodyTooSlow(
            f"The body arrived too slowly. Allowed: {limits.BODY_SECONDS:g} seconds, plus one second for each "
            f"{limits.UPLOAD_BYTES_PER_SECOND // 1024} KiB. Nothing was done."
        ) from None
    await _on_disk(write)
    return Received(file, size, digest.hexdigest())


def _is_converted(file: BinaryIO) -> bool:
    file.seek(0)
    return converted_by_opening(file.read(OPENING_BYTES)) is not None


def _received(file: BinaryIO) -> Received:
    """What was written into a file by another process."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    return Received(file, file.tell(), digest.hexdigest())


async def _on_disk(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise OutputNotStored(f"cannot buffer an upload: {error.strerror}") from error


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(
        f"Uploads are limited to {limits.UPLOAD_MAX_BYTES // 1024 // 1024} MiB. Pass larger files as an https: URL."
    )
