"""Selects the requested outputs among the files in a job's result.

A video often comes with its cover, often listed first; a result may list masks and previews. So files of another kind
than requested are set aside, by their declared type or else by their first bytes. They are delivered only if there is
nothing else; the check then finds the wrong kind, which ends the generation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from yarl import URL

from gateway.errors import ProviderFailed
from gateway.kinds import MediaKind
from gateway.media import OPENING_BYTES, content_type_as, kind_of
from workers.providers.base import ProviderRequest, Rendered
from workers.providers.calls import ProviderCalls, decoded
from workers.providers.figures import Figures, shared
from workers.providers.values import address, text

_EXTENSIONS = {
    MediaKind.IMAGE: (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".heic", ".svg"),
    MediaKind.VIDEO: (".mp4", ".m4v", ".webm", ".mov"),
    MediaKind.AUDIO: (".wav", ".mp3", ".ogg", ".oga", ".opus", ".flac", ".m4a", ".aac", ".weba"),
    MediaKind.TEXT: (".txt",),
}
_BASE64 = ("b64_json", "b64")
_TYPES = ("content_type", "contentType", "mime_type", "mimeType")


@dataclass(frozen=True, slots=True)
class File:
    """A file in a response: its URL, its bytes in base64, or its words; and its declared type."""

    address: str | None = field(default=None, repr=False)
    base64: str | None = field(default=None, repr=False)
    words: str | None = field(default=None, repr=False)
    content_type: str = ""
    reported: Figures = field(default_factory=dict, compare=False)
    """What the vendor reports of this file alone."""
    cost: object = field(default=None, compare=False)
    """What the vendor says that it cost."""

    @property
    def kind(self) -> MediaKind | None:
        """Its kind, as declared; None if it is not."""
        if self.words is not None:
            return MediaKind.TEXT
        source = self.address or self.base64 or ""
        head = source[5:100].lower() if source[:5].lower() == "data:" else self.content_type.lower()
        for kind in MediaKind:
            if head.startswith(f"{kind}/"):
                return kind
        path = "" if self.address is None or source[:5].lower() == "data:" else _path(source)
        return next((kind for kind, endings in _EXTENSIONS.items() if path.endswith(endings)), None)


def file_in(entry: object, base: URL) -> File | None:
    """Parse one entry of a response from `base`: an object with a URL or bytes; None if there is no file."""
    if not isinstance(entry, Mapping):
        return None
    content_type = next((text(entry[name]) for name in _TYPES if text(entry.get(name))), "")
    for name in _BASE64:
        if isinstance(entry.get(name), str) and entry[name]:
            return File(base64=entry[name], content_type=content_type)
    found = address(entry.get("url"), base, named=True)
    return None if found is None else File(address=found, content_type=content_type)


async def bytes_of(calls: ProviderCalls, file: File) -> bytes:
    """A file's bytes. Base64 is decoded in a thread: it may be hundreds of megabytes."""
    if file.words is not None:
        return file.words.encode()
    inline = file.base64 if file.base64 is not None else file.address
    if inline is None:
        raise ProviderFailed("an output is neither base64 nor a URL")
    if file.base64 is None and inline[:5].lower() != "data:":
        return await calls.fetch(inline)
    return await asyncio.to_thread(decoded, inline)


class OutputNumbering:
    """Numbers a job's files in order, as they arrive."""

    def __init__(self, request: ProviderRequest) -> None:
        """Number the requested ones; further files are dropped."""
        self._indices = request.job_indices or request.indices
        self._missing = frozenset(request.indices)
        self._kind = None if request.kind is MediaKind.FILE else request.kind  # a file may be of any kind
        self._numbered = self._taken = 0
        self._aside: list[File] = []

    async def take(self, calls: ProviderCalls, files: Sequence[File]) -> AsyncGenerator[Rendered]:
        """The outputs among a job's `files` that are new since the last call."""
        new, self._taken = files[self._taken :], max(self._taken, len(files))
        surely = len(files) <= len(self._indices)  # one per output, so none is a cover
        for file in new:
            if self._numbered == len(self._indices):
                return
            said, index = file.kind, self._indices[self._numbered]
            if self._is_another(said):
                self._aside.append(file)
            elif index not in self._missing and (surely or said is not None or self._kind is None):
                self._numbered += 1  # delivered by an earlier attempt
            else:
                data = await bytes_of(calls, file)
                if self._is_another(_kind_by(data, self._kind)):
                    self._aside.append(file)
                    continue
                self._numbered += 1
                if index in self._missing:
                    yield Rendered(index=index, data=data, reported=file.reported, cost=file.cost)

    async def rest(self, calls: ProviderCalls) -> AsyncGenerator[Rendered]:
        """The files set aside, if nothing better has come: their declared type may be wrong, or the request.

        If there were more files than requested and some are outputs, the others were covers.
        """
        if self._numbered and self._taken > len(self._indices):
            return
        for index, file in zip(self._indices[self._numbered :], self._aside, strict=False):
            if index in self._missing:
                data = await bytes_of(calls, file)
                yield Rendered(index=index, data=data, reported=file.reported, cost=file.cost)

    def outputs_among(self, files: Sequence[File]) -> int:
        """How many of a job's files are outputs, as far as they say what they are."""
        likely = [file for file in files if not self._is_another(file.kind)] or files
        return min(len(likely), len(self._indices))

    def place(self, index: int) -> int:
        """An output's place among those of the job."""
        return self._indices.index(index)

    def _is_another(self, kind: MediaKind | None) -> bool:
        return kind is not None and self._kind is not None and kind is not self._kind


async def fetched(
    calls: ProviderCalls, files: Sequence[File], request: ProviderRequest, reported: Figures = MappingProxyType({})
) -> AsyncGenerator[Rendered]:
    """The missing outputs of an ended job, whose `files` are in order. They share what was `reported` of the job.

    ProviderFailed if there are none.
    """
    if not files:
        raise ProviderFailed("its result contains no files")
    ordering = OutputNumbering(request)
    made = ordering.outputs_among(files)
    for outputs in (ordering.take(calls, files), ordering.rest(calls)):
        async with aclosing(outputs):
            async for output in outputs:
                share = shared(reported, ordering.place(output.index), made)
                yield replace(output, reported={**share, **output.reported})


def _path(source: str) -> str:
    return source.partition("?")[0].partition("#")[0].lower()


def _kind_by(data: bytes, requested: MediaKind | None) -> MediaKind | None:
    content_type = None if requested is MediaKind.TEXT else content_type_as(data[:OPENING_BYTES], requested or "")
    return None if content_type is None else kind_of(content_type)
