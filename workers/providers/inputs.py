"""Reads inputs for providers that accept files but no URLs: from our object store, or from a client's URL.

A client may name any URL, so only public addresses are connected to, checked at connect time, also after a redirect.
Problems with it are the request's fault, not the provider's: ProviderRejected, without a retry, and refunded.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from typing import BinaryIO

import aiohttp
from yarl import URL

from gateway.errors import InputUnavailable, MediaUnreadable, ProviderRejected
from gateway.kinds import MediaKind
from gateway.media import EXTENSIONS, OPENING_BYTES, Readers, content_type_as, converted_by_opening
from gateway.outside.addresses import AddressGuard, is_refusal
from gateway.outside.outgoing import Outgoing, RedirectsEndless, UrlRefused
from workers.providers.base import ProviderInput

INPUT_BYTES_MAX = 50 * 1024 * 1024  # the limit for uploads

_CONVERTED_MAX = 1  # concurrently: each takes a core and up to 1.5 GB of memory, in another process
_WANTED = {"Accept": "image/*, video/*, audio/*"}
_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10, sock_read=20)


@dataclass(frozen=True, slots=True)
class InputBytes:
    """A file to send. `name` has the extension of `content_type`, which is detected from the bytes."""

    name: str
    content_type: str
    data: bytes = field(repr=False)


class Inputs:
    """Reads inputs; connections are opened at the first fetch."""

    def __init__(self, guard: AddressGuard | None = None) -> None:
        """Fetch from public addresses only, or those `guard` allows."""
        self._outgoing = Outgoing(guard or AddressGuard())
        self._readers = Readers()
        self._converting = asyncio.Semaphore(_CONVERTED_MAX)

    async def read(self, given: ProviderInput) -> InputBytes:
        """The input's bytes. ProviderRejected: it is not acceptable; InputUnavailable: not now."""
        data = given.data if given.data is not None else await self._fetch(given.url or "")
        if given.kind == MediaKind.IMAGE and converted_by_opening(data[:OPENING_BYTES]) is not None:
            data = await self._converted(data)
        content_type = content_type_as(data[:OPENING_BYTES], given.kind)
        if content_type is None or not content_type.startswith(f"{given.kind}/"):
            raise ProviderRejected(f"an input is not a supported type of {given.kind}")
        return InputBytes(f"{given.kind}.{EXTENSIONS[content_type]}", content_type, data)

    async def close(self) -> None:
        """Close every connection, and end the conversion process, if there is one."""
        await self._outgoing.close()
        await self._readers.close()

    async def _converted(self, data: bytes) -> bytes:
        """Convert a HEIC or AVIF from a client's URL, to the format that uploads of these are converted to."""
        with await asyncio.to_thread(_file_of, data) as file, await asyncio.to_thread(_file_of, b"") as into:
            try:
                async with self._converting:
                    await self._readers.convert(file, into)
            except MediaUnreadable as error:
                raise ProviderRejected(f"an input {error}") from None
            except OSError as error:
                raise InputUnavailable(f"an input could not be converted here: {error.strerror}") from None
            return await asyncio.to_thread(_all_of, into)

    async def _fetch(self, address: str) -> bytes:
        """Download; each redirect is checked like the first URL."""
        address, _, _ = address.partition("#")
        if not address.isascii() or not address.isprintable() or " " in address:
            raise ProviderRejected("an input URL must be ASCII")
        try:
            # A signed URL must not be re-encoded.
            url = URL(address, encoded=True)
            async with self._outgoing.get(url, headers=_WANTED, timeout=_TIMEOUT) as response:
                return await _body(response)
        except UrlRefused as refused:
            raise ProviderRejected(f"an input URL {refused.words}") from None
        except RedirectsEndless:
            raise ProviderRejected("an input URL has too many redirects") from None
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            if is_refusal(error):
                raise ProviderRejected("an input URL resolves to an address that is not public") from None
            raise InputUnavailable(f"an input could not be fetched: {type(error).__name__}") from None


def _file_of(data: bytes) -> BinaryIO:
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the caller
    file.write(data)
    file.flush()
    return file


def _all_of(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


async def _body(response: aiohttp.ClientResponse) -> bytes:
    if response.status >= 500 or response.status == 429:  # noqa: PLR2004 - HTTP's own numbers
        raise InputUnavailable(f"an input could not be fetched: its server responded with {response.status}")
    if response.status != 200:  # noqa: PLR2004 - HTTP's own number
        raise ProviderRejected(f"an input could not be fetched: its server responded with {response.status}")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > INPUT_BYTES_MAX:
            raise ProviderRejected(f"an input is larger than {INPUT_BYTES_MAX:,} bytes")
    return bytes(body)
