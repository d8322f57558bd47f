"""The object store: a local directory by default; S3, Google Cloud Storage or Azure by URL.

Credentials of a cloud come from its usual environment variables, never from the URL. All calls are asynchronous; the
work is done outside Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from gateway.errors import OutputMissing, OutputNotStored, SettingsError, StoreUnavailable
from gateway.outputs.names import UPLOADS, checked, content_type_of, folders

if TYPE_CHECKING:
    from obstore import Attributes  # a name for type checkers only

_CLOUD_SCHEMES = frozenset({"s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "memory"})
_CHUNK_BYTES = 256 * 1024  # what a slow download holds in memory
_DELETED_AT_ONCE = 1000  # what S3 takes in one call
_LISTED_AT_ONCE = 16
_PIECE_BYTES = 5 * 1024 * 1024  # the least that S3 takes as a part
_PIECES_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What is known of an object without reading it."""

    size: int
    content_type: str


class OutputStore:
    """Objects under the keys of `gateway.outputs.names`; any other key is a ValueError."""

    def __init__(self, store: ObjectStore, directory: Path | None = None) -> None:
        """Use `open` instead; `directory` is where a local store keeps its files."""
        self._store = store
        self._directory = directory

    @classmethod
    def open(cls, url: str) -> Self:
        """The store at `url` (`file:///…`, `s3://bucket/…`, `gs://…`, `az://…`); SettingsError if it cannot be."""
        parts = urlsplit(url)
        try:
            if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
                directory = Path(url2pathname(parts.path))
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                return cls(LocalStore(directory, automatic_cleanup=True), directory)
            if parts.scheme in _CLOUD_SCHEMES:
                return cls(from_url(url))
        except (obstore.exceptions.BaseError, OSError, ValueError) as error:
            # The scheme only: a URL may have been given credentials all the same.
            raise SettingsError(f"FAREBOX_OUTPUTS_URL: cannot open the {parts.scheme}:// store: {error}") from error
        raise SettingsError("FAREBOX_OUTPUTS_URL: must start with file:///, s3://, gs:// or az://")

    async def put(self, object_key: str, data: bytes) -> None:
        """Write an object as a whole: nobody ever sees a part of it. When this returns it is on disk.

        OutputNotStored if the store does not take it: a full disk, a bucket that is away.
        """
        await self._put(object_key, data)

    async def put_file(self, object_key: str, file: BinaryIO, size: int) -> None:
        """Write a file of `size` bytes as `put` does, without ever holding more than a few pieces of it in memory."""
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
        except FileNotFoundError:
            raise OutputMissing(source) from None
        except (obstore.exceptions.BaseError, OSError) as error:
            raise _not_stored(object_key, error) from error

    async def head(self, object_key: str) -> StoredObject:
        """Size and content type; OutputMissing if there is no such object; StoreUnavailable."""
        try:
            meta = await obstore.head_async(self._store, checked(object_key))
        except FileNotFoundError:
            raise OutputMissing(object_key) from None
        except (obstore.exceptions.BaseError, OSError) as error:
            raise StoreUnavailable(_reason(object_key, error)) from error
        return StoredObject(size=meta["size"], content_type=content_type_of(object_key))

    async def get(self, object_key: str) -> bytes:
        """A whole object; OutputMissing if there is none; StoreUnavailable."""
        try:
            result = await obstore.get_async(self._store, checked(object_key))
            return bytes(await result.bytes_async())
        except FileNotFoundError:
            raise OutputMissing(object_key) from None
        except (obstore.exceptions.BaseError, OSError) as error:
            raise StoreUnavailable(_reason(object_key, error)) from error

    async def stream(self, object_key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` up to but not including `end`, in chunks; OutputMissing before the first of them.

        The caller keeps the range within the object (see `head`): ValueError if it is empty.
        """
        if start < 0 or (end is not None and end <= start):
            raise ValueError(f"bytes {start} to {end} are no range")
        try:
            result = await obstore.get_async(
                self._store,
                checked(object_key),
                options={"range": {"offset": start} if end is None else (start, end)},
            )
        except FileNotFoundError:
            raise OutputMissing(object_key) from None
        except (obstore.exceptions.BaseError, OSError) as error:
            raise StoreUnavailable(_reason(object_key, error)) from error
        return _chunks(result)

    async def delete_generations(self, generations: Sequence[str]) -> list[str]:
        """Delete all outputs and inputs of generations; those of which nothing is left.

        Together, because a bucket deletes a thousand objects in one call. If one of them cannot be deleted, each
        generation is dealt with by itself, so that it keeps no other's outputs.
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
                    raise error  # the store is away
                break
        try:
            await self._delete_all([path for paths in known.values() for path in paths])
        except (obstore.exceptions.BaseError, OSError):
            done = await asyncio.gather(*map(self._delete_all, known.values()), return_exceptions=True)
            return [one for one, error in zip(known, done, strict=True) if error is None]
        return list(known)

    async def delete(self, object_keys: Iterable[str]) -> None:
        """Delete objects, those that there are."""
        await asyncio.gather(*map(self._delete, map(checked, object_keys)))

    async def delete_uploads(self, *, before: str, at_most: int) -> int:
        """Delete uploads that expired before the hour `before` (`names.hour`), the oldest first; how many."""
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
        # Files have no attributes; there the extension says the type.
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
            raise _not_stored(object_key, error) from error

    async def _sync(self, object_key: str) -> None:
        if self._directory is not None:
            await asyncio.to_thread(_sync, self._directory / object_key, self._directory)

    async def _listed(self, generation: str) -> list[str]:
        """All objects of a generation: of every attempt, also those that no generation names."""
        return [
            meta["path"]
            for prefix in folders(generation)
            async for listed in obstore.list(self._store, prefix, chunk_size=_DELETED_AT_ONCE)
            for meta in listed
        ]

    async def _delete_all(self, paths: Sequence[str]) -> None:
        """Delete objects in one call where the store can."""
        try:
            await obstore.delete_async(self._store, paths)
        except FileNotFoundError:
            # Another caretaker was quicker with one; a directory says so, and leaves open what became of the others.
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


def _not_stored(object_key: str, error: Exception) -> OutputNotStored:
    return OutputNotStored(_reason(object_key, error))


def _reason(object_key: str, error: Exception) -> str:
    reason = str(error).partition("\n")[0]  # obstore adds a page for its own developers
    return f"{object_key}: {type(error).__name__}: {reason}"


def _sync(path: Path, root: Path) -> None:
    """Have the file and the directories that lead to it written to disk: a delivered output survives a power cut."""
    for place in (path, *path.parents):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if place == root:
            return
