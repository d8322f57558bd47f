"""ComfyUI's WebSocket, for how far a job is: a hint to look, and never more. A lost one is opened again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from gateway.cancelling import cancel
from gateway.errors import ProviderError
from workers.providers.calls import Calls

_AGAIN_SECONDS = 3.0
_ENDINGS = frozenset({"execution_success", "execution_error", "execution_interrupted"})
_SHARE = 0.95  # of the whole, while nodes work: what they made is then decoded and saved


class Watch:
    """What was said of one job. `connections` counts the sockets so far; `connected`: there is one now."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.connected = False
        self.connections = 0
        self.fraction: float | None = None
        self._time_to_look = False
        self._news = asyncio.Event()

    async def word(self, look_at: float) -> bool:
        """Wait for a word of how far the job is: True. False: time to look, by the loop's clock or by what was said."""
        try:
            async with asyncio.timeout_at(look_at):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        look, self._time_to_look = self._time_to_look, False
        return not look

    def look(self) -> None:
        """Whoever waits is to look now."""
        self._time_to_look = True
        self._news.set()

    def open(self) -> None:
        """There is a socket: the job may have ended while nobody listened, or its server may be another."""
        self.connected = True
        self.connections += 1
        self.look()

    def hear(self, text: str, job: str) -> None:
        """Take a message; those about other jobs, and what is no message, say nothing."""
        try:
            message = json.loads(text)
        except ValueError:
            return
        told = message.get("data") if isinstance(message, dict) else None
        if not isinstance(told, dict) or told.get("prompt_id", job) != job:
            return
        match message.get("type"):
            case "progress":
                self._progress(told.get("value"), told.get("max"))
                self._news.set()
            case "executing" if told.get("node", "") is None:
                self.look()
            case str() as kind if kind in _ENDINGS:
                self.look()

    def _progress(self, value: Any, most: Any) -> None:
        if isinstance(value, int | float) and isinstance(most, int | float) and most > 0:
            self.fraction = _SHARE * min(max(value / most, 0.0), 1.0)


@asynccontextmanager
async def watching(calls: Calls, job: str) -> AsyncIterator[Watch]:
    """Listen as the client that the job was queued by: the server tells nobody else how far it is."""
    watch = Watch()
    task = asyncio.create_task(_listen(calls, job, watch), name=f"watch {job}")
    try:
        yield watch
    finally:
        await cancel(task)


async def _listen(calls: Calls, job: str, watch: Watch) -> None:
    while True:
        try:
            async with calls.socket(f"/ws?clientId={job}") as socket:
                watch.open()
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:  # previews are binary
                        watch.hear(message.data, job)
        except ProviderError:
            pass
        finally:
            watch.connected = False
        await asyncio.sleep(_AGAIN_SECONDS)
