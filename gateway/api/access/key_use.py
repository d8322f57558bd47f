"""Records when keys were last used: in memory during a request, written in the background, once a minute per key.

A key that orders is recorded by `reserve`, in the account that it writes anyway: most keys do little else, and a script
for each would be a fifth of what a create costs.

What was recorded since the last write is lost if the gateway is killed; a normal stop writes it.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, islice
from time import monotonic

import structlog

from gateway.api.access.sessions import ROOT_KEY_ID
from gateway.errors import FareboxError
from gateway.ledger.ledger import Ledger

APART_SECONDS = 60.0  # between two writes for one key
CHECK_SECONDS = 1.0  # a key's first use is visible after this
AT_ONCE = 32  # accounts: thousands in one batch would block Redis and the gateway for 100 ms

log = structlog.get_logger(__name__)


class KeyUse:
    """Keys with unwritten uses, and those written less than a minute ago."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self.noted: dict[str, tuple[str | None, float]] = {}
        """Key id → its account (None: an operator's key), and when it was used last. The guard notes each request's."""
        self.recorded: dict[str, float] = {}
        """Key id → when `reserve` recorded its use. The handler notes it."""
        self._written: dict[str, float] = {}

    async def write_on(self) -> None:
        """Write what is due, forever; runs as a background task."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self.write(apart_seconds=APART_SECONDS)

    async def write(self, *, apart_seconds: float = 0) -> None:
        """Write the last uses, except of keys written less than `apart_seconds` ago."""
        now = self._clock()
        self.noted.pop(ROOT_KEY_ID, None)  # which is in no list
        recorded, self.recorded = self.recorded, {}
        self.noted = {key_id: use for key_id, use in self.noted.items() if use[1] > recorded.get(key_id, -math.inf)}
        self._written = {key_id: at for key_id, at in (self._written | recorded).items() if now - at < apart_seconds}
        due = {key_id: use for key_id, use in self.noted.items() if key_id not in self._written}
        by_account: defaultdict[str | None, dict[str, int]] = defaultdict(dict)
        for key_id, (account, used_at) in due.items():
            by_account[account][key_id] = round((now - used_at) * 1000)
        accounts = iter(by_account.items())
        while some := dict(islice(accounts, AT_ONCE)):
            self._written |= dict.fromkeys(chain.from_iterable(some.values()), now)
            if not await self._write(some, due):
                return  # the next round continues with the others

    async def _write(
        self, some: Mapping[str | None, dict[str, int]], due: Mapping[str, tuple[str | None, float]]
    ) -> bool:
        answers = await asyncio.gather(
            *(self._ledger.touch(account=account, used=used) for account, used in some.items()),
            return_exceptions=True,
        )
        written = True
        for used, answer in zip(some.values(), answers, strict=True):
            if isinstance(answer, FareboxError):
                log.warning("key_use_not_written", error=str(answer), again_in_seconds=APART_SECONDS)
                written = False
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self._forget(due, used)
        return written

    def _forget(self, due: Mapping[str, tuple[str | None, float]], written: Iterable[str]) -> None:
        """Drop what was written, except for keys used again in the meantime."""
        for key_id in written:
            if self.noted.get(key_id) == due[key_id]:
                del self.noted[key_id]
