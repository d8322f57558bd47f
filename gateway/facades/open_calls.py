"""Calls that are in work here: while its connection lives, a call has no retry, so an equal one is another call.

The ledger remembers which calls have no response yet, but not whether anybody still waits for it. A gateway knows that
of its own connections alone: what another gateway has begun, or one that was killed, counts as left by its client.
So equal calls side by side at two gateways may become one, where the other error would charge for a retry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from aiohttp import web

from gateway.ledger.client_calls import ClientCall, ClientCalls, new_key

_KEEP_SHARE = 4  # a call is kept so often in the time that it is remembered for


@dataclass(slots=True, eq=False)
class OpenCall:
    """A request that is a call, or a retry of one.

    `retries`: how often its client says that it has sent this before; None if it does not count.
    """

    of: ClientCall
    retries: int | None
    is_connected: Callable[[], bool]
    key: str = field(default_factory=new_key)
    is_answered: bool = False
    """Whether the ledger is being told that it has its response."""
    kept_at: float = field(default_factory=monotonic)

    @property
    def counted(self) -> bool:
        """Whether its client counts its retries."""
        return self.retries is not None

    def has_no_retry(self) -> bool:
        """Whether no other request can be a retry of this one, unless it says so itself."""
        return self.is_answered or self.is_connected()

    def is_due_to_be_kept(self) -> bool:
        """Whether the ledger might forget it soon, while its client still waits."""
        now = monotonic()
        if now - self.kept_at < self.of.seconds / _KEEP_SHARE:
            return False
        self.kept_at = now
        return True


class OpenCalls:
    """The calls in work at this gateway, by what makes them equal."""

    def __init__(self, calls: ClientCalls) -> None:
        """`calls` remembers them for all gateways."""
        self._calls = calls
        self._open: defaultdict[tuple[str, str], set[OpenCall]] = defaultdict(set)

    async def begin(self, call: ClientCall, retries: int | None, is_connected: Callable[[], bool]) -> OpenCall:
        """A request in work, under the key of the call that it is or is a retry of. `end` it.

        A client that counts sends each number once for a call: who waits with the same number is another call's. Of
        one that does not count, nobody who waits is retried.
        """
        opened = OpenCall(call, retries, is_connected)
        proposed, equal = opened.key, self._open[call.account, call.digest]
        equal.add(opened)

        def others() -> set[str]:
            waiting = (one for one in equal if one is not opened and one.retries == retries)
            return {one.key for one in waiting if one.has_no_retry()}

        try:
            while True:
                number = 1 if retries is None else retries
                opened.key = await self._calls.key_of(call, number, proposed=proposed, waiting=others())
                if opened.key not in others():  # while the ledger was asked, another may have found the same one
                    return opened
        except BaseException:
            self.end(opened)
            raise

    def end(self, opened: OpenCall) -> None:
        """Its request is over: if it has no response, an equal one may be its retry."""
        place = opened.of.account, opened.of.digest
        self._open[place].discard(opened)
        if not self._open[place]:
            del self._open[place]


OPEN_CALLS = web.AppKey("OPEN_CALLS", OpenCalls)
