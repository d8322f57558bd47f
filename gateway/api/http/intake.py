"""Receives files in chunks, so that no file is ever completely in memory, and inspects them.

They are buffered in unnamed files in the data folder, which disappear with the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import math
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from aiohttp import BodyPartReader, MultipartReader, web

from gateway.api import limits
from gateway.api.errors import BodyTooLarge, BodyTooSlow, InvalidRequest, RateLimited
from gateway.errors import FieldProblem, OutputNotStored
from gateway.local import data_folder
from gateway.media import OPENING_BYTES, FairInspections, Media, Readers, TimeUsedUp, converted_by_opening
from gateway.outputs import OutputStore
from gateway.schemas.errors import RateLimitedDetails

MULTIPART_TYPE = "multipart/form-data"
_CHUNK_BYTES = 64 * 1024
_BLOCK_BYTES = 1024 * 1024  # collected before each write, which makes the hop to a thread negligible

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Received:
    """A completely received body."""

    file: BinaryIO
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file of a form: its field's name, its declared type, and its bytes."""

    name: str
    content_type: str
    body: Received


@dataclass(frozen=True, slots=True)
class Form:
    """A form with files."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    files: list[FormFile] = field(default_factory=list)

    def digest(self) -> str:
        """A digest of the contents, independent of the multipart boundary."""
        files = [(file.name, file.body.sha256) for file in self.files]
        return hashlib.sha256(json.dumps([self.fields, files]).encode()).hexdigest()


class Intake:
    """Limits how many files are received at once, per account, and how many are inspected."""

    def __init__(self, folder: Path) -> None:
        """Buffer files in `folder`, which is created at first use."""
        self._folder = folder
        self._by_account: Counter[str] = Counter()
        self._readers = Readers()
        self._inspections = FairInspections(
            at_once=limits.INSPECTIONS_MAX, of_one=1, seconds_a_minute=limits.INSPECTION_SECONDS_A_MINUTE, refuses=True
        )
        self._stores = asyncio.Semaphore(limits.STORES_MAX)

    async def close(self) -> None:
        """Stop the processes that inspect files."""
        await self._readers.close()

    @property
    def coming_in(self) -> int:
        """The number of files being received."""
        return self._by_account.total()

    @contextlib.asynccontextmanager
    async def received(self, request: web.Request, account: str, most: int | None = None) -> AsyncIterator[Received]:
        """The request's body as a temporary file.

        RateLimited, BodyTooLarge or BodyTooSlow; OutputNotStored if this machine's disk is full.
        """
        most = limits.UPLOAD_MAX_BYTES if most is None else most
        if (request.content_length or 0) > most:
            raise _too_large(most)
        with self._place(account):
            file = await _on_disk(self._open)
            try:
                yield await _receive(request.content.iter_any(), file, _Patience(), most)
            finally:
                file.close()

    @contextlib.asynccontextmanager
    async def form(self, request: web.Request, account: str) -> AsyncIterator[Form]:
        """The request's multipart form, with temporary files.

        InvalidRequest if it is not one, or has more fields or files than any call accepts; otherwise the errors of
        `received`, with a limit for all files together.
        """
        if request.content_type != MULTIPART_TYPE:
            problem = FieldProblem("Content-Type", f"must be {MULTIPART_TYPE}")
            raise InvalidRequest(f"The form must be sent as {MULTIPART_TYPE}.", fields=[problem])
        if (request.content_length or 0) > limits.INPUTS_MAX_BYTES + limits.FORM_OVERHEAD_BYTES:
            raise _form_too_large()
        with self._place(account), contextlib.ExitStack() as open_files:
            yield await self._read_form(request, open_files)

    async def _read_form(self, request: web.Request, open_files: contextlib.ExitStack) -> Form:
        form, patience, characters = Form(), _Patience(), 0
        try:
            parts = await request.multipart()
            while (part := await _next(parts, patience)) is not None:
                if not isinstance(part, BodyPartReader) or part.name is None:
                    raise InvalidRequest("The form has a part without a name.")
                if part.filename is None:
                    text = await _text(part, patience)
                    characters += len(text)
                    form.fields.append((part.name, text))
                else:
                    file = open_files.enter_context(await _on_disk(self._open))
                    received = await _receive(_chunks(part), file, patience, limits.UPLOAD_MAX_BYTES)
                    form.files.append(FormFile(part.name, part.headers.get("Content-Type", ""), received))
                    if sum(one.body.bytes for one in form.files) > limits.INPUTS_MAX_BYTES:
                        raise _form_too_large()
                if len(form.fields) + len(form.files) > limits.FORM_PARTS_MAX or characters > limits.BODY_MAX_BYTES:
                    raise InvalidRequest(f"Forms are limited to {limits.FORM_PARTS_MAX} parts and 1 MiB of text.")
        except ValueError as error:  # an invalid boundary, or one that does not occur in the body
            raise InvalidRequest("The form cannot be read: it is not valid multipart/form-data.") from error
        return form

    @contextlib.asynccontextmanager
    async def inspected(self, body: Received, account: str) -> AsyncIterator[tuple[Media, Received]]:
        """A file's properties, and the file to store: itself or, for rarely supported image formats, a converted one.

        MediaUnreadable, or RateLimited if the account has used up its inspection time.
        """
        if not await _on_disk(lambda: _is_converted(body.file)):
            yield await self._in_turn(account, lambda: self._readers.inspect(body.file)), body
            return
        with await _on_disk(self._open) as into:
            media = await self._in_turn(account, lambda: self._readers.convert(body.file, into))
            yield media, await _on_disk(lambda: _received(into))

    async def _in_turn(self, account: str, inspect: Callable[[], Coroutine[Any, Any, Media]]) -> Media:
        """Run few inspections at once: the largest takes a gigabyte of memory, in another process.

        An account with slow files only delays itself.
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
        """Write a received file to the object store; OutputNotStored."""
        async with self._stores:
            await outputs.put_file(object_key, body.file, body.bytes)

    def _open(self) -> BinaryIO:
        data_folder.make(self._folder)
        # Unbuffered, because blocks are large; closed, and thereby deleted, by the caller.
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


class _Patience:
    """The time limit of one body: a minute, plus more for what has arrived, which excludes slow-drip bodies."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self._bytes = 0

    @contextlib.asynccontextmanager
    async def lasts(self) -> AsyncIterator[asyncio.Timeout]:
        """Wraps each read; BodyTooSlow."""
        try:
            async with asyncio.timeout_at(self._end) as timeout:
                yield timeout
        except TimeoutError:
            raise BodyTooSlow(
                f"The body arrived too slowly. Allowed: {limits.BODY_SECONDS:g} seconds, plus one second for each "
                f"{limits.UPLOAD_BYTES_PER_SECOND // 1024} KiB. Nothing was done."
            ) from None

    def came(self, size: int, timeout: asyncio.Timeout) -> None:
        """Count received bytes."""
        self._bytes += size
        timeout.reschedule(self._end)

    @property
    def _end(self) -> float:
        return self._started_at + limits.BODY_SECONDS + self._bytes / limits.UPLOAD_BYTES_PER_SECOND


async def _next(parts: MultipartReader, patience: _Patience) -> BodyPartReader | MultipartReader | None:
    """The next part of a form, up to its content; None after the last."""
    async with patience.lasts():
        return await parts.next()


async def _text(part: BodyPartReader, patience: _Patience) -> str:
    """A field that is not a file; InvalidRequest if it is not text."""
    text = bytearray()
    async with patience.lasts():
        async for chunk in _chunks(part):
            text += chunk
            if len(text) > limits.BODY_MAX_BYTES:
                raise InvalidRequest(f"Forms are limited to {limits.FORM_PARTS_MAX} parts and 1 MiB of text.")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The form has a field that is not UTF-8 text.") from None


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(_CHUNK_BYTES):
        yield chunk


async def _receive(chunks: AsyncIterator[bytes], file: BinaryIO, patience: _Patience, most: int) -> Received:
    """Read a body into `file`, within limits of time and size; returns its decompressed size."""
    size, digest, block = 0, hashlib.sha256(), bytearray()

    def write() -> None:
        # A full disk writes what fits and only returns a smaller count; the next write would fail.
        if file.write(block) != len(block):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        digest.update(block)

    async with patience.lasts() as timeout:
        async for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise _too_large(most)
            block += chunk
            if len(block) >= _BLOCK_BYTES:
                await _on_disk(write)
                block.clear()
            patience.came(len(chunk), timeout)
    await _on_disk(write)
    return Received(file, size, digest.hexdigest())


def _is_converted(file: BinaryIO) -> bool:
    file.seek(0)
    return converted_by_opening(file.read(OPENING_BYTES)) is not None


def _received(file: BinaryIO) -> Received:
    """A file written by another process."""
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


def _form_too_large() -> BodyTooLarge:
    most = limits.INPUTS_MAX_BYTES // 1024 // 1024
    return BodyTooLarge(f"Forms are limited to {most} MiB of files. Pass larger files as https: URLs.")


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"Uploads are limited to {most // 1024 // 1024} MiB. Pass larger files as an https: URL.")
