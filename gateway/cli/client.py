"""A client of our own HTTP interface, for the commands that talk to a running gateway."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import click

from gateway.errors import FareboxError

_TIMEOUT_SECONDS = 30
_ERRORS_FROM = 400


class GatewayRefused(FareboxError):
    """The gateway answered with an error; `str()` is its own message, `code` its word for it."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        """Keep the envelope's parts."""
        error = body.get("error", {})
        lines = [error.get("message", f"the gateway answered {status}")]
        lines += [f"  {field['path']}: {field['message']}" for field in error.get("fields", [])]
        super().__init__("\n".join(lines))
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
    _session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_TIMEOUT_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, once: str | None = None, **query: str
    ) -> dict[str, Any]:
        """Send a JSON request and return the JSON answer. `once` is the idempotency key."""
        text = await self._send(method, self.address + path, body, once, query)
        answer: dict[str, Any] = json.loads(text)
        return answer

    async def download(self, url: str) -> bytes:
        """The bytes of an output."""
        return await self._send("GET", url, None, None, {})

    async def _send(
        self, method: str, url: str, body: dict[str, Any] | None, once: str | None, query: dict[str, str]
    ) -> bytes:
        if self._session is None:
            raise RuntimeError("use the client as a context manager")
        headers = {"Authorization": f"Bearer {self.key}"}
        if once is not None:
            headers["Idempotency-Key"] = once
        try:
            async with self._session.request(method, url, json=body, headers=headers, params=query) as response:
                content = await response.read()
                if response.status >= _ERRORS_FROM:
                    raise GatewayRefused(response.status, _envelope(content))
                return content
        except (aiohttp.ClientError, TimeoutError) as error:
            raise click.ClickException(
                f"No gateway answers at {self.address} ({type(error).__name__}).\n"
                "Start one with `farebox up`, or set FAREBOX_PUBLIC_URL to where yours is."
            ) from None


def _envelope(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
