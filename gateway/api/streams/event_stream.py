"""Writes server-sent events: `id`, `event`, `data`, and comments that keep the connection open."""

from __future__ import annotations

import asyncio

from aiohttp import web

KEEP_ALIVE_SECONDS = 15.0
RETRY_MS = 2000  # how long a browser waits before it reconnects


class EventStream:
    """One client's stream. A client that is gone raises ConnectionError at the next write."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response
        self._written_at = 0.0

    @classmethod
    async def open(cls, request: web.Request) -> EventStream:
        """Send the headers."""
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # nginx would buffer events otherwise
            }
        )
        await response.prepare(request)
        stream = cls(response)
        await stream._write(f"retry: {RETRY_MS}\n\n")
        return stream

    @property
    def response(self) -> web.StreamResponse:
        """The response for the handler to return."""
        return self._response

    async def send(self, *events: tuple[str, str, str | None]) -> None:
        """Send events in one write: each with its name, data (JSON on one line) and id, if any."""
        if events:
            await self._write("".join(_text(*event) for event in events))

    async def keep_alive(self) -> None:
        """Send a comment if nothing was sent for a while."""
        if asyncio.get_running_loop().time() - self._written_at >= KEEP_ALIVE_SECONDS:
            await self._write(": still here\n\n")

    async def _write(self, text: str) -> None:
        await self._response.write(text.encode())
        self._written_at = asyncio.get_running_loop().time()


def _text(event: str, data: str, event_id: str | None) -> str:
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}event: {event}\ndata: {data}\n\n"
