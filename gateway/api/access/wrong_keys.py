"""Throttles wrong API keys per client: beyond an allowance, each gets a delayed 429, and its connection is closed.

A valid key is always let in: keys are checked first, so nobody can lock an operator out by sending wrong ones from the
same address. Guessing is slow, and each guess costs one of a limited number of connections. Behind a proxy that is not
in FAREBOX_TRUSTED_PROXIES all clients count as one; valid keys are not affected.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

import structlog
from aiohttp import web

from gateway.api import limits
from gateway.api.errors import RateLimited
from gateway.outside.proxies import one_client

log = structlog.get_logger(__name__)


class TooManyWrongKeys(RateLimited):
    """The client has sent too many wrong keys; the connection is closed after this response."""


@dataclass(slots=True)
class _Level:
    """A client's count when it was last updated (monotonic seconds), and whether it was logged."""

    height: float
    at: float
    told: bool = False


class WrongKeys:
    """Wrong keys per client, as a leaky bucket; `client` returns a request's address."""

    def __init__(
        self,
        client: Callable[[web.Request], str],
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._clock = clock
        self._sleep = sleep
        self._levels: OrderedDict[str, _Level] = OrderedDict()

    async def note(self, request: web.Request, *, operators: bool) -> None:
        """Count a wrong key; TooManyWrongKeys, after a delay, if its client has sent too many.

        `operators`: it was sent to a call that account keys may not make, which rarely happens by mistake.
        """
        client = one_client(self._client(request))
        weight = limits.WRONG_KEYS_PER_MINUTE / limits.WRONG_OPERATOR_KEYS_PER_MINUTE if operators else 1
        seconds = self._count(client, weight)
        if seconds <= 0:
            return
        await self._sleep(limits.WRONG_KEY_DELAY_SECONDS)
        raise TooManyWrongKeys(
            "Too many requests with invalid or revoked API keys from this address. Check the key: a valid key is "
            "accepted at once.",
            headers={"Retry-After": str(math.ceil(seconds))},
        )

    def _count(self, client: str, weight: float) -> float:
        """Raise the client's level; if it is full, return the seconds until it is not."""
        now, sinks = self._clock(), limits.WRONG_KEYS_PER_MINUTE / 60
        level = self._levels.setdefault(client, _Level(0, now))
        self._levels.move_to_end(client)
        if len(self._levels) > limits.WRONG_KEY_CLIENTS_MAX:
            self._levels.popitem(last=False)  # the one idle the longest
        level.height, level.at = max(0.0, level.height - (now - level.at) * sinks), now
        beyond = (level.height + weight - limits.WRONG_KEYS_PER_MINUTE) / sinks
        if beyond <= 0:
            level.height += weight
            level.told = level.told and level.height > limits.WRONG_KEYS_PER_MINUTE / 2
        elif not level.told:
            level.told = True
            log.warning(
                "wrong_keys",
                client=client,
                consequence="further requests with invalid keys from this address are delayed and get 429",
            )
        return beyond
