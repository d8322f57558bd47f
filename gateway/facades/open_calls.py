"""Calls in progress at this gateway. One whose connection is open has no retry, so an equal request is another call.

The ledger stores which calls have no response yet, but not whether their clients still wait. A gateway knows that only
of its own connections; a call of another gateway, or of a killed one, counts as abandoned. So concurrent equal calls at
two gateways may become one; the opposite error would charge for a retry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from aiohttp import web

from gateway.ledger.client_calls import ClientCall, ClientCalls, new_key

_KEEP_SHARE = 4  # renewals per lifetime of a call's record


@dataclass(slots=True, eq=False)
class OpenCall:
    """A request that is a call, or a retry of one.

    `retries`: its client's retry count; None if it does not count.
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
        """Whether no other request can be its retry, unless that request says it is one."""
        return self.is_answered or self.is_connected()

    def is_due_to_be_kept(self) -> bool:
        """Whether its record would expire soon, while its client still waits."""
        now = monotonic()
        if now - self.kept_at < self.of.seconds / _KEEP_SHARE:
            return False
        self.kept_at = now
        return True


class OpenCalls:
    """The calls in progress at this gateway, grouped by what makes them equal."""

    def __init__(self, calls: ClientCalls) -> None:
        """`calls` stores them for all gateways."""
        self._calls = calls
        self._open: defaultdict[tuple[str, str], set[OpenCall]] = defaultdict(set)

    async def begin(self, call: ClientCall, retries: int | None, is_connected: Callable[[], bool]) -> OpenCall:
        """Register a request, with the key of its call, or of the call it retries. Call `end` when it is over.

        A client that counts sends each retry number once per call, so a waiting request with the same number belongs to
        another call. If it does not count, no waiting request is retried. Of the rest, one whose connection broke is
        retried rather than one that is connected.
        """
        opened = OpenCall(call, retries, is_connected)
        proposed, equal = opened.key, self._open[call.account, call.digest]
        equal.add(opened)

        def connected() -> list[OpenCall]:
            return [one for one in equal if one is not opened and one.has_no_retry()]

        def waiting() -> set[str]:
            return {one.key for one in connected() if one.retries == retries}

        number = 1 if retries is None else retries
        try:
            while True:
                live = {one.key for one in connected()}
                opened.key = await self._calls.key_of(
                    call, number, proposed=proposed, waiting=waiting(), connected=live
                )
                if opened.key not in waiting():  # meanwhile, a concurrent request may have found the same one
                    return opened
        except BaseException:
            self.end(opened)
            raise

    def resume(self, opened: OpenCall) -> None:
        """Register a request again that begins again: it is still the same call."""
        self._open[opened.of.account, opened.of.digest].add(opened)

    def end(self, opened: OpenCall) -> None:
        """Unregister a request: if it got no response, an equal one may be its retry."""
        place = opened.of.account, opened.of.digest
        self._open[place].discard(opened)
        if not self._open[place]:
            del self._open[place]


OPEN_CALLS = web.AppKey("OPEN_CALLS", OpenCalls)
