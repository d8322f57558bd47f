"""Live events inside one gateway: one subscription to the queue's hints, handed to every stream that watches."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing

from gateway.api import limits
from gateway.api.errors import RateLimited
from gateway.queue import Queue

HINTS_KEPT_MAX = 1000


class Watch:
    """What one stream watches: the ids of generations that have changed since it last looked."""

    def __init__(self) -> None:
        self._changed: dict[str, None] = {}
        self._something = asyncio.Event()
        self.closing = False

    def tell(self, generation: str) -> None:
        """Note that a generation has changed. Past the limit hints are dropped: the next full look finds them."""
        if len(self._changed) < HINTS_KEPT_MAX:
            self._changed[generation] = None
        self._something.set()

    def close(self) -> None:
        """End the stream."""
        self.closing = True
        self._something.set()

    async def wait(self, seconds: float) -> list[str]:
        """The generations that have changed, as soon as there are any; none after `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._something.wait(), seconds)
        self._something.clear()
        changed, self._changed = list(self._changed), {}
        return changed


class Hub:
    """Hands hints to the streams that watch an account or one generation."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._by_owner: Counter[str] = Counter()
        self._by_account: dict[str, set[Watch]] = {}
        self._by_generation: dict[str, set[Watch]] = {}
        self._closed = False

    @property
    def watched(self) -> int:
        """How many streams there are."""
        return sum(len(watches) for place in (self._by_account, self._by_generation) for watches in place.values())

    async def listen(self) -> None:
        """Hand on every hint, for ever; runs as a task beside the server."""
        async with aclosing(self._queue.hints()) as hints:
            async for hint in hints:
                for watch in self._by_account.get(hint.account, ()):
                    watch.tell(hint.generation)
                for watch in self._by_generation.get(hint.generation, ()):
                    watch.tell(hint.generation)

    @contextlib.asynccontextmanager
    async def watch(
        self, *, owner: str, account: str | None = None, generation: str | None = None
    ) -> AsyncIterator[Watch]:
        """Watch an account, one generation, or (for the operators' stream) only the gateway's end.

        RateLimited if `owner`, an account or an operator's key, has too many streams open here.
        """
        if self._by_owner[owner] >= limits.STREAMS_MAX:
            raise RateLimited(
                f"{limits.STREAMS_MAX} event streams are open at once, and there may be no more. Close one; "
                "/v1/events has all generations in one stream.",
                headers={"Retry-After": str(limits.STREAMS_RETRY_SECONDS)},
                streams_max=limits.STREAMS_MAX,
            )
        self._by_owner[owner] += 1
        watch = Watch()
        place, name = (self._by_generation, generation) if generation is not None else (self._by_account, account or "")
        place.setdefault(name, set()).add(watch)
        if self._closed:
            watch.close()
        try:
            yield watch
        finally:
            place[name].discard(watch)
            if not place[name]:
                del place[name]
            self._by_owner[owner] -= 1
            if not self._by_owner[owner]:
                del self._by_owner[owner]

    def close(self) -> None:
        """End every stream: the gateway stops."""
        self._closed = True
        for place in (self._by_account, self._by_generation):
            for watches in place.values():
                for watch in watches:
                    watch.close()
