"""Limits connections: to the available file descriptors in total, and to a share of them per client address.

A connection that has not sent a complete request head costs its client nothing, so it is closed first: when a place is
needed, the one that has waited longest. Next is one that has been idle for a while. A connection with a request in
progress is never closed. If none can be closed, the new connection is kept anyway, from a small reserve: it may request
`/healthz` and `/readyz`, and every other request gets an error response.
"""

from __future__ import annotations

import enum
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from gateway.api import limits
from gateway.api.errors import ApiError, Overloaded, RateLimited
from gateway.api.http.route import PROBES
from gateway.outside.proxies import Proxies, one_client
from gateway.schemas.errors import RateLimitedDetails

log = structlog.get_logger("gateway.requests")


class ConnectionRefused(Exception):
    """The connection, or its client behind a proxy, exceeds a limit; `error` is the response."""

    def __init__(self, error: ApiError) -> None:
        """Keep the response."""
        super().__init__(str(error))
        self.error = error


class ConnectionState(enum.Enum):
    """What a connection is doing."""

    HALF_OPEN = enum.auto()  # has not sent a complete head yet
    WORKING = enum.auto()
    IDLE = enum.auto()


@dataclass(slots=True, eq=False)
class Place:
    """A connection's place. `end` closes it; `client` None: a trusted proxy; `refusal` None: no restriction."""

    peer: str
    end: Callable[[], None]
    client: str | None
    refusal: ApiError | None = None
    state: ConnectionState | None = None
    since: float = 0.0

    @property
    def admits_all(self) -> bool:
        """Whether it admits all of its requests, so that `Admission.request` need not be called for each."""
        return self.refusal is None and self.client is not None


class _Waiting:
    """Connections that could be closed, the longest waiting first. Busy ones are in none of `in_state`."""

    __slots__ = ("half_open", "idle", "in_state")

    def __init__(self) -> None:
        self.half_open: OrderedDict[Place, None] = OrderedDict()
        self.idle: OrderedDict[Place, None] = OrderedDict()
        self.in_state = {ConnectionState.HALF_OPEN: self.half_open, ConnectionState.IDLE: self.idle}

    def longest(self, now: float) -> Place | None:
        """The first to close; an idle one only after a while, because its client may be about to use it."""
        if self.half_open:
            return next(iter(self.half_open))
        place = next(iter(self.idle), None)
        return place if place is not None and now - place.since >= limits.IDLE_KEPT_SECONDS else None


class Admission:
    """Counts connections and, for clients behind trusted proxies, requests in progress."""

    def __init__(
        self,
        connections_max: int,
        per_address_max: int | None,
        proxies: Proxies,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`per_address_max` None: a quarter of all, at most a thousand."""
        self._connections_max = connections_max
        share = max(limits.PER_ADDRESS_MIN, min(limits.PER_ADDRESS_MAX, connections_max // 4))
        self._per_address_max = min(per_address_max or share, connections_max)
        self._proxies = proxies
        self._clock = clock
        self._count = 0
        self._of_client: Counter[str] = Counter()
        self._waiting = _Waiting()
        self._waiting_of: defaultdict[str, _Waiting] = defaultdict(_Waiting)
        self._reserve: OrderedDict[Place, None] = OrderedDict()
        self._requests: Counter[str] = Counter()
        self._said_at = -limits.REFUSALS_SAID_SECONDS

    def admit(self, peer: str, end: Callable[[], None]) -> Place:
        """A place for a new connection from `peer`."""
        client = None if self._proxies.trusts(peer) else one_client(peer)
        refusal = self._refusal(client)
        place = Place(peer, end, client, refusal)
        if refusal is not None:
            self._say(refusal, client)
            if len(self._reserve) >= limits.RESERVE:
                self._go(next(iter(self._reserve)))
            self._reserve[place] = None
        else:
            self._count += 1
            if client is not None:
                self._of_client[client] += 1
        self.note(place, ConnectionState.HALF_OPEN)
        return place

    def note(self, place: Place, state: ConnectionState | None) -> None:
        """Set the connection's new state; None: it is closed."""
        before, place.state, place.since = place.state, state, self._clock()
        if place.refusal is not None or before is state:
            return
        kinds = [self._waiting]
        if place.client is not None:
            kinds.append(self._waiting_of[place.client])
        for waiting in kinds:
            if before in waiting.in_state:
                waiting.in_state[before].pop(place, None)
            if state in waiting.in_state:
                waiting.in_state[state][place] = None

    def leave(self, place: Place) -> None:
        """The connection is closed; idempotent."""
        if place.refusal is not None:
            self._reserve.pop(place, None)
            return
        if place.state is None:
            return
        self.note(place, None)
        self._count -= 1
        if place.client is not None:
            self._of_client[place.client] -= 1
            if not self._of_client[place.client]:
                del self._of_client[place.client], self._waiting_of[place.client]

    @contextmanager
    def request(self, place: Place, path: str, client: Callable[[], str]) -> Iterator[None]:
        """Wraps a request: ConnectionRefused if the connection, or its client behind a proxy, exceeds a limit.

        `client` is the address reported by a trusted proxy.
        """
        if path in PROBES:
            yield
            return
        if place.refusal is not None:
            raise ConnectionRefused(place.refusal)
        if place.client is not None:
            yield
            return
        behind = one_client(client())
        if self._requests[behind] >= self._per_address_max:
            raise ConnectionRefused(self._too_many())
        self._requests[behind] += 1
        try:
            yield
        finally:
            self._requests[behind] -= 1
            if not self._requests[behind]:
                del self._requests[behind]

    def _refusal(self, client: str | None) -> ApiError | None:
        """Why there is no place, after closing what can be closed."""
        now = self._clock()
        if client is not None and self._of_client[client] >= self._per_address_max:
            oldest = self._waiting_of[client].longest(now)
            if oldest is None:
                return self._too_many()
            self._go(oldest)
        if self._count >= self._connections_max:
            oldest = self._waiting.longest(now)
            if oldest is None:
                return Overloaded(
                    "This gateway has too many open connections. Nothing was done; try again soon.",
                    retry_after_seconds=limits.CONNECTIONS_RETRY_SECONDS,
                )
            self._go(oldest)
        return None

    def _too_many(self) -> ApiError:
        return RateLimited(
            f"Too many open connections or requests in flight from your address (limit: {self._per_address_max:,}). "
            "Close or reuse connections. Nothing was done.",
            RateLimitedDetails(connections_max=self._per_address_max),
            headers={"Retry-After": str(limits.CONNECTIONS_RETRY_SECONDS)},
        )

    def _go(self, place: Place) -> None:
        self.leave(place)
        place.end()

    def _say(self, refusal: ApiError, client: str | None) -> None:
        """Log it, but not for each connection of a flood."""
        now = self._clock()
        if now - self._said_at >= limits.REFUSALS_SAID_SECONDS:
            self._said_at = now
            fix = "FAREBOX_CONNECTIONS_PER_ADDRESS" if isinstance(refusal, RateLimited) else "open file limit"
            log.warning("connections_refused", client=client, connections=self._count, fix=f"raise {fix}")
