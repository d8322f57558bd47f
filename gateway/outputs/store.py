"""The object store: a local directory by default; S3, Google Cloud Storage or Azure by URL.

Cloud credentials come from the usual environment variables, never from the URL (`cloud.py`). All calls are
asynchronous; the work is done outside Python. Errors name the store's location and the problem (`faults.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
import structlog
from obstore.store import LocalStore, MemoryStore, ObjectStore

from gateway.errors import ObjectNotStored, OutputMissing, SettingsError, StoreUnavailable
from gateway.outputs.cloud import SCHEMES, bucket_of, endpoint_of, has_credentials, open_bucket, own_endpoint
from gateway.outputs.faults import fault_of, no_such_bucket
from gateway.outputs.names import UPLOADS, checked, content_type_of, folders

if TYPE_CHECKING:
    from obstore import Attributes  # a name for type checkers only
    from obstore.store import S3Store

log = structlog.get_logger(__name__)

_CHUNK_BYTES = 256 * 1024  # in memory per slow download
_DELETED_AT_ONCE = 1000  # S3's limit per call
_LISTED_AT_ONCE = 16
_PIECE_BYTES = 5 * 1024 * 1024  # S3's minimum part size
_PIECES_AT_ONCE = 2
_PROBE = "farebox-probe"  # not an object key: nothing else reads, writes or lists it
_PROBE_BYTES = 4096  # a block: a full disk may still have room for an empty file


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's metadata."""

    size: int
    content_type: str


class OutputStore:
    """Objects under the keys of `gateway.outputs.names`; any other key is a ValueError."""

    def __init__(
        self, store: ObjectStore, directory: Path | None = None, where: str = "", *, is_public: bool = False
    ) -> None:
        """Use `open` instead; `directory` is the folder of a local store, `where` its name for operators.

        `is_public`: clients reach the bucket at the same address as we do.
        """
        self._store = store
        self._directory = directory
        self.where = where
        self.is_public = is_public

    @classmethod
    def open(
        cls, url: str, environment: Mapping[str, str] | None = None, *, instance_credentials: bool = False
    ) -> Self:
        """The store at `url` (`file:///…`, `s3://bucket/…`, `gs://…`, `az://…`); SettingsError if it cannot be.

        `environment` has the cloud's variables. Without credentials in it, the machine's metadata service is used only
        with `instance_credentials`.
        """
        parts = urlsplit(url)
        try:
            if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
                directory = Path(url2pathname(parts.path))
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                return cls(LocalStore(directory, automatic_cleanup=True), directory, f"the folder {directory}")
            if parts.scheme == "memory":
                return cls(MemoryStore(), where="memory")
            if parts.scheme in SCHEMES:
                variables = environment or {}
                unsigned = not instance_credentials and not has_credentials(url, variables)
                where = f"the bucket {bucket_of(url)} at {endpoint_of(url, variables)}"
                return cls(
                    open_bucket(url, unsigned=unsigned),
                    where=f"{where}, without credentials, as none are set" if unsigned else where,
                    is_public=not unsigned and own_endpoint(url, variables) is None,
                )
        except (obstore.exceptions.BaseError, OSError, ValueError) as error:
            # Only the scheme: the URL may contain credentials after all, and obstore's message may repeat it.
            said = str(error).partition("\n")[0].replace(url, bucket_of(url))
            raise SettingsError(f"FAREBOX_OUTPUTS_URL: cannot open the {parts.scheme}:// store: {said}") from error
        raise SettingsError("FAREBOX_OUTPUTS_URL: must start with file:///, s3://, gs:// or az://")

    async def probe(self, *, write: bool) -> None:
        """Check that the store can be read and written; StoreUnavailable if not.

        In a bucket, it reads one small object, and writes it if it is missing or `write` is set. In a folder, it
        writes an unnamed file, which leaves nothing behind.
        """
        try:
            if self._directory is not None:
                await asyncio.to_thread(_try_to_write, self._directory)
            elif write or not await self._probe_is_there():
                await obstore.put_async(self._store, _PROBE, b"x")
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._unavailable("a probe", error) from error

    async def put(self, object_key: str, data: bytes) -> None:
        """Write an object atomically. When this returns it is on disk.

        ObjectNotStored if the store does not accept it: a full disk, an unavailable bucket.
        """
        await self._put(object_key, data)

    async def put_file(self, object_key: str, file: BinaryIO, size: int) -> None:
        """Write a file of `size` bytes like `put`, with only a few chunks of it in memory at a time."""
        await asyncio.to_thread(file.seek, 0)
        if size <= _PIECE_BYTES:
            await self.put(object_key, await asyncio.to_thread(file.read))
            return
        await self._put(object_key, _pieces(file))

    async def copy(self, source: str, object_key: str) -> None:
        """Copy an object within the store. OutputMissing if there is none at `source`; else as `put`."""
        try:
            await obstore.copy_async(self._store, checked(source), checked(object_key))
            await self._sync(object_key)
        except (obstore.exceptions.BaseError, OSError) as error:
            if self._is_missing(error):
                raise OutputMissing(source) from None
            raise self._not_stored(object_key, error) from error

    async def head(self, object_key: str) -> StoredObject:
        """Size and content type; OutputMissing if there is no such object; StoreUnavailable."""
        try:
            meta = await obstore.head_async(self._store, checked(object_key))
        except (obstore.exceptions.BaseError, OSError) as error:
            if self._directory is None and self._is_missing(error):
                await self.probe(write=False)  # a response to HEAD does not tell which of the two is missing
            raise self._not_given(object_key, error) from error
        return StoredObject(size=meta["size"], content_type=content_type_of(object_key))

    async def get(self, object_key: str) -> bytes:
        """A whole object; OutputMissing if there is none; StoreUnavailable."""
        try:
            result = await obstore.get_async(self._store, checked(object_key))
            return bytes(await result.bytes_async())
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._not_given(object_key, error) from error

    async def stream(self, object_key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` up to but not including `end`, in chunks; OutputMissing before the first of them.

        The caller keeps the range within the object (see `head`): ValueError if it is empty.
        """
        if start < 0 or (end is not None and end <= start):
            raise ValueError(f"bytes {start} to {end} are not a valid range")
        try:
            result = await obstore.get_async(
                self._store,
                checked(object_key),
                options={"range": {"offset": start} if end is None else (start, end)},
            )
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._not_given(object_key, error) from error
        return _chunks(result)

    async def link(self, object_key: str, seconds: int) -> str | None:
        """A URL at which the bucket itself serves the object for so long; None if it is no bucket, or signs nothing."""
        if self._directory is not None or isinstance(self._store, MemoryStore):
            return None
        try:
            bucket = cast("S3Store", self._store)
            return await obstore.sign_async(bucket, "GET", checked(object_key), timedelta(seconds=seconds))
        except (
            obstore.exceptions.BaseError,
            OSError,
        ) as error:  # credentials that cannot sign, as a metadata service's
            log.debug("output_link_not_signed", store=self.where, error=type(error).__name__)
            return None

    async def delete_generations(self, generations: Sequence[str]) -> list[str]:
        """Delete all outputs and inputs of generations; returns those with nothing left.

        In bulk, because a bucket deletes a thousand objects in one call. If one of them cannot be deleted, each
        generation is deleted separately, so that it does not block the others.
        """
        turns = asyncio.Semaphore(_LISTED_AT_ONCE)

        async def listed(generation: str) -> list[str]:
            async with turns:
                return await self._listed(generation)

        found = await asyncio.gather(*map(listed, generations), return_exceptions=True)
        known = {
            generation: paths
            for generation, paths in zip(generations, found, strict=True)
            if not isinstance(paths, BaseException)
        }
        for error in found:
            if isinstance(error, BaseException):
                if not known:
                    raise error  # the store is unavailable
                break
        try:
            await self._delete_all([path for paths in known.values() for path in paths])
        except (obstore.exceptions.BaseError, OSError):
            done = await asyncio.gather(*map(self._delete_all, known.values()), return_exceptions=True)
            return [one for one, error in zip(known, done, strict=True) if error is None]
        return list(known)

    async def delete(self, object_keys: Iterable[str]) -> None:
        """Delete objects; missing ones are ignored. StoreUnavailable."""
        try:
            await asyncio.gather(*map(self._delete, map(checked, object_keys)))
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._unavailable("deleting", error) from error

    async def delete_uploads(self, *, before: str, at_most: int) -> int:
        """Delete uploads that expired before the hour `before` (`names.hour`), oldest first; returns how many."""
        places = await obstore.list_with_delimiter_async(self._store, UPLOADS)
        deleted = 0
        for place in sorted(places["common_prefixes"]):
            if place.rstrip("/").removeprefix(UPLOADS) >= before:
                break
            async for listed in obstore.list(self._store, place, chunk_size=min(at_most, _DELETED_AT_ONCE)):
                await self._delete_all([meta["path"] for meta in listed])
                deleted += len(listed)
                if deleted >= at_most:
                    return deleted
        return deleted

    async def _put(self, object_key: str, data: bytes | AsyncIterator[bytes]) -> None:
        # Files have no attributes; their type comes from the extension.
        attributes: Attributes | None = None
        if self._directory is None:
            attributes = {"Content-Type": content_type_of(object_key)}
        try:
            await obstore.put_async(
                self._store,
                checked(object_key),
                data,
                attributes=attributes,
                chunk_size=_PIECE_BYTES,
                max_concurrency=_PIECES_AT_ONCE,
            )
            await self._sync(object_key)
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._not_stored(object_key, error) from error

    async def _probe_is_there(self) -> bool:
        try:
            await obstore.get_async(self._store, _PROBE)
        except FileNotFoundError as error:
            if not self._is_missing(error):
                raise
            return False
        return True

    def _is_missing(self, error: Exception) -> bool:
        """Whether only the object is missing, and the bucket or folder exists."""
        if not isinstance(error, FileNotFoundError):
            return False
        return not no_such_bucket(error) if self._directory is None else self._directory.is_dir()

    def _not_given(self, object_key: str, error: Exception) -> OutputMissing | StoreUnavailable:
        if self._is_missing(error):
            return OutputMissing(object_key)
        return self._unavailable(object_key, error)

    def _not_stored(self, object_key: str, error: Exception) -> ObjectNotStored:
        fault = fault_of(error)
        return ObjectNotStored(f"{object_key}: {self.where}: {fault.reason}: {fault.change}", fault)

    def _unavailable(self, what: str, error: Exception) -> StoreUnavailable:
        fault = fault_of(error)
        return StoreUnavailable(f"{what}: {self.where}: {fault.reason}: {fault.change}", fault)

    async def _sync(self, object_key: str) -> None:
        if self._directory is not None:
            await asyncio.to_thread(_sync, self._directory / object_key, self._directory)

    async def _listed(self, generation: str) -> list[str]:
        """All objects of a generation, of every attempt, including those not recorded in the ledger."""
        return [
            meta["path"]
            for prefix in folders(generation)
            async for listed in obstore.list(self._store, prefix, chunk_size=_DELETED_AT_ONCE)
            for meta in listed
        ]

    async def _delete_all(self, paths: Sequence[str]) -> None:
        """Delete objects, in one call if the store supports it."""
        try:
            await obstore.delete_async(self._store, paths)
        except FileNotFoundError:
            # Another caretaker deleted one first. A folder reports that, without saying whether the others were
            # deleted.
            await asyncio.gather(*map(self._delete, paths))

    async def _delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, path)


async def _pieces(file: BinaryIO) -> AsyncGenerator[bytes]:
    while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
        yield piece


async def _chunks(result: obstore.GetResult) -> AsyncGenerator[bytes]:
    async for chunk in result.stream(_CHUNK_BYTES):
        yield bytes(chunk)


def _try_to_write(directory: Path) -> None:
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700, parents=True)
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        if file.write(bytes(_PROBE_BYTES)) != _PROBE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync(path: Path, root: Path) -> None:
    """Fsync the file and its parent directories: a delivered output survives a power cut."""
    for place in (path, *path.parents):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if place == root:
            return
