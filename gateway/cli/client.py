"""A client of our own HTTP interface, for the commands that talk to a running gateway."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import click
from yarl import URL

from gateway.errors import FareboxError
from gateway.outside.addresses import AddressGuard
from gateway.outside.outgoing import Outgoing
from gateway.outside.visible import visible_lines

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)
_ERRORS_FROM = 400


class GatewayRefused(FareboxError):
    """The gateway answered with an error; `str()` is its own message, `code` its word for it."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        """Keep the envelope's parts."""
        error = body.get("error", {})
        lines = [error.get("message", f"the gateway responded with status {status}")]
        lines += [f"  {field['path']}: {field['message']}" for field in error.get("fields", [])]
        super().__init__(visible_lines("\n".join(map(str, lines))))
        self.status = status
        self.code = error.get("code", "")
        self.body = error


@dataclass(slots=True)
class GatewayClient:
    """Calls a gateway with one key. Use it as an asynchronous context manager.

    A gateway that does not answer is a ClickException that says how to start one; an error answer is GatewayRefused.
    """

    address: str
    key: str
    _outgoing: Outgoing | None = None

    async def __aenter__(self) -> Self:
        """Make ready to call; connections are made when they are needed."""
        at = URL(self.address)
        headers = {"Authorization": f"Bearer {self.key}"}
        self._outgoing = Outgoing(AddressGuard.beside(at.host), own=at, headers=headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        if self._outgoing is not None:
            await self._outgoing.close()

    async def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, once: str | None = None, **query: str
    ) -> dict[str, Any]:
        """Send a JSON request and return the JSON answer. `once` is the idempotency key."""
        text = await self._send(method, URL(self.address + path), body, once, query)
        answer: dict[str, Any] = json.loads(text)
        return answer

    async def download(self, url: str) -> bytes:
        """The bytes of an output, by its link: from this gateway, by whatever name the link calls it."""
        if not url.startswith(f"{self.address}/"):
            url = self.address + URL(url, encoded=True).raw_path_qs
        return await self._send("GET", URL(url, encoded=True), None, None, {})

    async def _send(
        self, method: str, at: URL, body: dict[str, Any] | None, once: str | None, query: dict[str, str]
    ) -> bytes:
        if self._outgoing is None:
            raise RuntimeError("use the client as a context manager")
        headers = {}
        if once is not None:
            headers["Idempotency-Key"] = once
        try:
            async with self._outgoing.request(
                method, at, json=body, headers=headers, params=query, timeout=_TIMEOUT
            ) as response:
                content = await response.read()
                if response.status >= _ERRORS_FROM:
                    raise GatewayRefused(response.status, _envelope(content))
                return content
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise click.ClickException(
                f"No gateway is responding at {self.address} ({type(error).__name__}).\nStart one with `farebox up`, "
                "or set FAREBOX_PUBLIC_URL to the address of yours."
            ) from None


def _envelope(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
