"""Live events inside one gateway: one subscription to the queue's change notices, passed on to all streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from time import monotonic
from typing import NamedTuple

from gateway.api import limits
from gateway.api.access.auth import TOKENS_OWN
from gateway.api.errors import RateLimited
from gateway.queue.messages import ChangeNotice, SubscriptionState
from gateway.queue.queue import Queue
from gateway.schemas.errors import RateLimitedDetails

HINTS_KEPT_MAX = 1000
LATE_SECONDS = 5.0
"""After this long without a subscription, streams depend on their own reads, and operators should know."""


class Changed(NamedTuple):
    """What may have changed since a stream last read: these generations, or `everything`."""

    generations: Sequence[str]
    everything: bool


class StreamWatch:
    """One stream's subscription: the ids of generations that have changed since it last read."""

    def __init__(self) -> None:
        """The stream has just read everything."""
        self._changed: dict[str, None] = {}
        self._something = asyncio.Event()
        self._missed = False
        self._looked_at = monotonic()
        self.closing = False

    def notify(self, generation: str) -> None:
        """Note that a generation has changed; beyond the limit, note that everything may have changed."""
        if len(self._changed) < HINTS_KEPT_MAX:
            self._changed[generation] = None
        else:
            self._missed = True
        self._something.set()

    def notify_missed(self) -> None:
        """Note that notices may have been lost."""
        self._missed = True
        self._something.set()

    def close(self) -> None:
        """End the stream."""
        self.closing = True
        self._something.set()

    async def wait(self, seconds: float) -> Changed:
        """What has changed, once something has; everything, if notices were lost or after `seconds` at the latest.

        The time limit also applies while notices keep arriving, because lost ones are not among them.
        """
        read_at = self._looked_at + seconds
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._something.wait(), max(0.0, read_at - monotonic()))
        self._something.clear()
        everything = self._missed or monotonic() >= read_at
        if everything:
            self._missed, self._looked_at = False, monotonic()
        changed, self._changed = list(self._changed), {}
        return Changed(changed, everything)


class Hub:
    """Passes notices to the streams of an account or one generation."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._by_owner: Counter[str] = Counter()
        self._by_account: dict[str, set[StreamWatch]] = {}
        self._by_generation: dict[str, set[StreamWatch]] = {}
        self._closed = False
        self._deaf_since: float | None = monotonic()

    @property
    def closed(self) -> bool:
        """Whether the gateway is stopping."""
        return self._closed

    @property
    def problem(self) -> str | None:
        """The problem, for operators: no notices arrive, so streams are late."""
        if self._deaf_since is None or monotonic() - self._deaf_since < LATE_SECONDS:
            return None
        return (
            "live events may be up to 5 s late: this gateway cannot subscribe to change notifications on the queue's "
            "Redis"
        )

    @property
    def watched(self) -> int:
        """The number of open streams."""
        return sum(1 for _ in self._watches())

    async def listen(self) -> None:
        """Pass on every notice, forever; runs as a background task."""
        async with aclosing(self._queue.change_notices(wanted=self._is_watched)) as notices:
            async for notice in notices:
                match notice:
                    case ChangeNotice(account, generation):
                        for watch in (*self._by_account.get(account, ()), *self._by_generation.get(generation, ())):
                            watch.notify(generation)
                    case SubscriptionState.MADE:
                        self._deaf_since = None
                        for watch in self._watches():
                            watch.notify_missed()
                    case SubscriptionState.LOST if self._deaf_since is None:
                        self._deaf_since = monotonic()

    @contextlib.asynccontextmanager
    async def watch(
        self, *, owner: str, account: str | None = None, generation: str | None = None
    ) -> AsyncIterator[StreamWatch]:
        """Watch an account, one generation, or (for the operators' stream) only the gateway's shutdown.

        It is `counted`.
        """
        place, name = (self._by_generation, generation) if generation is not None else (self._by_account, account or "")
        with self.counted(owner), self._watching(place, name) as watch:
            yield watch

    @contextlib.contextmanager
    def counted(self, owner: str) -> Iterator[None]:
        """Count an open stream of `owner`, as in `Caller.owner`; RateLimited if it has too many here."""
        of_token = owner.startswith(TOKENS_OWN)
        most = limits.TOKEN_STREAMS_MAX if of_token else limits.STREAMS_MAX
        if self._by_owner[owner] >= most:
            instead = "" if of_token else "; GET /v1/events streams all of an account's generations at once"
            raise RateLimited(
                f"Too many open event streams (limit: {most}). Close one{instead}.",
                RateLimitedDetails(streams_max=most),
                headers={"Retry-After": str(limits.STREAMS_RETRY_SECONDS)},
            )
        self._by_owner[owner] += 1
        try:
            yield
        finally:
            self._by_owner[owner] -= 1
            if not self._by_owner[owner]:
                del self._by_owner[owner]

    def watch_shutdown(self) -> contextlib.AbstractContextManager[StreamWatch]:
        """Watch only the gateway's shutdown, for workers: one key may be that of a hundred, so they are not counted."""
        return self._watching(self._by_account, "")

    def wait_for(self, generation: str) -> contextlib.AbstractContextManager[StreamWatch]:
        """Watch a generation for a request that waits for its end; it is not counted as a stream."""
        return self._watching(self._by_generation, generation)

    @contextlib.contextmanager
    def _watching(self, place: dict[str, set[StreamWatch]], name: str) -> Iterator[StreamWatch]:
        watch = StreamWatch()
        place.setdefault(name, set()).add(watch)
        if self._closed:
            watch.close()
        try:
            yield watch
        finally:
            place[name].discard(watch)
            if not place[name]:
                del place[name]

    def close(self) -> None:
        """End every stream: the gateway stops."""
        self._closed = True
        for watch in self._watches():
            watch.close()

    def _is_watched(self) -> bool:
        return bool(self._by_account or self._by_generation)

    def _watches(self) -> Iterator[StreamWatch]:
        for place in (self._by_account, self._by_generation):
            for watches in place.values():
                yield from watches
