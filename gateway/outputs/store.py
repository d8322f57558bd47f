"""The object store: a local directory by default; S3, Google Cloud Storage or Azure by URL.

Credentials of a cloud come from its usual environment variables, never from the URL. All calls are asynchronous; the
work is done outside Python.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from gateway.errors import OutputMissing, OutputNotStored, SettingsError
from gateway.outputs.names import checked, content_type_of, folders, input_key

_CLOUD_SCHEMES = frozenset({"s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "memory"})
_CHUNK_BYTES = 256 * 1024  # what a slow download holds in memory
_DELETED_AT_ONCE = 100


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
        content_type = content_type_of(object_key)
        try:
            if self._directory is None:
                await obstore.put_async(self._store, object_key, data, attributes={"Content-Type": content_type})
            else:  # files have no attributes; the extension says it
                await obstore.put_async(self._store, object_key, data)
                await asyncio.to_thread(_sync, self._directory / object_key, self._directory)
        except (obstore.exceptions.BaseError, OSError) as error:
            reason = str(error).partition("\n")[0]  # obstore adds a page for its own developers
            raise OutputNotStored(f"{object_key}: {type(error).__name__}: {reason}") from error

    async def put_input(self, generation: str, number: int, data: bytes, content_type: str) -> str:
        """Write the bytes of a `data:` input and return the object key they are under."""
        object_key = input_key(generation, number, content_type)
        await self.put(object_key, data)
        return object_key

    async def head(self, object_key: str) -> StoredObject:
        """Size and content type; OutputMissing if there is no such object."""
        try:
            meta = await obstore.head_async(self._store, checked(object_key))
        except FileNotFoundError:
            raise OutputMissing(object_key) from None
        return StoredObject(size=meta["size"], content_type=content_type_of(object_key))

    async def get(self, object_key: str) -> bytes:
        """A whole object; OutputMissing if there is none."""
        try:
            result = await obstore.get_async(self._store, checked(object_key))
            return bytes(await result.bytes_async())
        except FileNotFoundError:
            raise OutputMissing(object_key) from None

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
        return _chunks(result)

    async def delete_generation(self, generation: str) -> int:
        """Delete all outputs and inputs of a generation, of every attempt; how many there were."""
        deleted = 0
        for prefix in folders(generation):
            async for listed in obstore.list(self._store, prefix, chunk_size=_DELETED_AT_ONCE):
                for meta in listed:
                    try:
                        await obstore.delete_async(self._store, meta["path"])
                    except FileNotFoundError:  # another caretaker was quicker
                        continue
                    deleted += 1
        return deleted


async def _chunks(result: obstore.GetResult) -> AsyncGenerator[bytes]:
    async for chunk in result.stream(_CHUNK_BYTES):
        yield bytes(chunk)


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
