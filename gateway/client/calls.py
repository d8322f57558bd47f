"""A client of our own HTTP API, for the commands that talk to a running gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from gateway.errors import FareboxError
from gateway.outside.addresses import AddressGuard
from gateway.outside.outgoing import Outgoing
from gateway.outside.visible import visible_lines

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)
# The answer comes once the gateway has written the file to its store: 256 MiB over 10 Mbit/s take four minutes.
_STORED_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=300)
_ERRORS_FROM = 300  # our API never redirects


class GatewayUnreachable(FareboxError):
    """No response from the gateway: the call may or may not have taken effect."""


class GatewayRefused(FareboxError):
    """The gateway responded with an error; `str()` is its message, `code` its error code.

    `retry_after` is the header `Retry-After` in seconds; None if there is none.
    """

    def __init__(self, status: int, body: dict[str, Any], retry_after: int | None = None) -> None:
        """Keep the envelope's parts."""
        error = body.get("error")
        error = error if isinstance(error, dict) else {}
        lines = [error.get("message", f"the gateway responded with status {status}")]
        lines += [f"  {field['path']}: {field['message']}" for field in error.get("fields", [])]
        super().__init__(visible_lines("\n".join(map(str, lines))))
        self.status = status
        self.code = error.get("code", "")
        self.body = error
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Reply:
    """A JSON response; `replayed` if it is that of an earlier call with the same idempotency key."""

    body: dict[str, Any]
    replayed: bool


@dataclass(slots=True)
class GatewayClient:
    """Calls a gateway with one key, and an operator's `reason` for the audit log. Use it as a context manager.

    GatewayUnreachable, if it does not respond, says how to start one; an error response raises GatewayRefused.
    """

    address: str
    key: str
    reason: str | None = None
    _outgoing: Outgoing | None = None

    async def __aenter__(self) -> Self:
        """Prepare the session; connections are opened when needed."""
        at = URL(self.address)
        headers = {"Authorization": f"Bearer {self.key}"}
        if self.reason is not None:
            headers["X-Farebox-Reason"] = quote(self.reason)
        self._outgoing = Outgoing(AddressGuard.beside(at.host), own=at, headers=headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        if self._outgoing is not None:
            await self._outgoing.close()

    async def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        once: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send a JSON request and return the JSON response. `once` is the idempotency key."""
        return (await self.exchange(method, path, body, once=once, query=query)).body

    async def exchange(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        once: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Reply:
        """The same, with information from the response's headers."""
        content, headers = await self._send(method, URL(self.address + path), body, once, query or {})
        try:
            return Reply(json.loads(content), replayed="Idempotent-Replay" in headers)
        except ValueError:
            raise GatewayUnreachable(f"What responds at {self.address} is not a Farebox gateway.") from None

    async def put(self, path: str, data: bytes) -> dict[str, Any]:
        """Send bytes and return the JSON response."""
        headers = {"Content-Type": "application/octet-stream"}
        at, within = URL(self.address + path), _STORED_TIMEOUT
        async with self._requested("PUT", at, headers, data=data, timeout=within) as response:
            content = await response.read()
            if response.status >= _ERRORS_FROM:
                raise GatewayRefused(response.status, _envelope(content), _seconds(response))
            return _envelope(content)

    async def events(self, path: str) -> AsyncGenerator[dict[str, Any], None]:
        """The data of a stream's events, until it ends."""
        async with self._requested("GET", URL(self.address + path), {}) as response:
            if response.status >= _ERRORS_FROM:
                raise GatewayRefused(response.status, _envelope(await response.read()), _seconds(response))
            async for line in response.content:
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))

    async def download(self, url: str) -> bytes:
        """Download an output by its URL, from this gateway's address, whatever host the URL has."""
        if not url.startswith(f"{self.address}/"):
            url = self.address + URL(url, encoded=True).raw_path_qs
        content, _ = await self._send("GET", URL(url, encoded=True), None, None, {})
        return content

    async def save(self, path: str, file: BinaryIO) -> None:
        """Write a response to a file as it arrives, however long it is."""
        async with self._requested("GET", URL(self.address + path), {}) as response:
            if response.status >= _ERRORS_FROM:
                raise GatewayRefused(response.status, _envelope(await response.read()), _seconds(response))
            async for piece in response.content.iter_any():
                file.write(piece)

    @asynccontextmanager
    async def _requested(
        self, method: str, at: URL, headers: Mapping[str, str], **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._outgoing is None:
            raise RuntimeError("use the client as a context manager")
        try:
            options = {"timeout": _TIMEOUT, **options}
            async with self._outgoing.request(method, at, headers=headers, **options) as response:
                yield response
        except aiohttp.ClientConnectorCertificateError as error:
            raise GatewayUnreachable(
                f"The certificate at {self.address} is not trusted: {error.certificate_error}.\n"
                "If it is of a CA of your own, name that CA's file in SSL_CERT_FILE."
            ) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise GatewayUnreachable(
                f"No gateway is responding at {self.address} ({type(error).__name__}).\nStart one with `farebox up`, "
                "or set FAREBOX_PUBLIC_URL to the address of yours."
            ) from None

    async def _send(
        self, method: str, at: URL, body: dict[str, Any] | None, once: str | None, query: Mapping[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        headers = {} if once is None else {"Idempotency-Key": once}
        async with self._requested(method, at, headers, json=body, params=query) as response:
            content = await response.read()
            if response.status >= _ERRORS_FROM:
                raise GatewayRefused(response.status, _envelope(content), _seconds(response))
            return content, response.headers


def _seconds(response: aiohttp.ClientResponse) -> int | None:
    after = response.headers.get("Retry-After", "")
    return int(after) if after.isdecimal() else None


def _envelope(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
