"""The ledger's time: one clock per process, independent of the machine's.

Redis's `TIME` decides about credits inside the scripts. Decisions outside of them (when a link expires, whether a
pause is over, the timestamp of a webhook signature) use the same clock: a machine that is two hours off creates no
expired links, refuses no callbacks, and delays no retry by two hours.

It is measured when a process reaches the ledger and every few seconds afterwards; in between it follows the monotonic
clock. Before the first measurement it is the machine's time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Literal, overload

import structlog
from itsdangerous import SignatureExpired, TimestampSigner
from prometheus_client.core import GaugeMetricFamily, Metric

from gateway.errors import LedgerUnavailable

MEASURE_SECONDS = 10.0
DIFFERENCE_MAX_SECONDS = 5.0
"""A larger difference is reported to operators. NTP keeps machines within milliseconds."""
_ROUND_TRIP_MAX_SECONDS = 1.0  # a measurement is as uncertain as it is slow; slow ones are not used
AHEAD_MAX_SECONDS = 2
"""How far two processes' measurements may differ: half a round trip each, plus a second for rounding."""

log = structlog.get_logger(__name__)


def local_seconds() -> float:
    """The machine's time. The only place that reads it."""
    return time.time()


class LedgerClock:
    """The ledger's time, and how far the machine's own is from it."""

    def __init__(self) -> None:
        self._offset: float | None = None  # offset of the ledger's time from the monotonic clock
        self._reported = False

    def seconds(self) -> float:
        """Now, in seconds since the epoch."""
        return local_seconds() if self._offset is None else time.monotonic() + self._offset

    @property
    def difference_seconds(self) -> float | None:
        """How far the machine's own clock is ahead of the ledger's; None before it was measured."""
        return None if self._offset is None else local_seconds() - self.seconds()

    @property
    def problem(self) -> str | None:
        """The problem, for operators; None if the clocks agree."""
        difference = self.difference_seconds
        if difference is None or abs(difference) <= DIFFERENCE_MAX_SECONDS:
            return None
        way = "ahead of" if difference > 0 else "behind"
        return (
            f"this machine's clock is {abs(difference):,.0f} s {way} the ledger's: check its time synchronization (NTP)"
        )

    async def measure(self, ask: Callable[[], Awaitable[int]]) -> None:
        """Read the ledger's time, in milliseconds. A difference is logged when it starts and when it ends."""
        began_at = time.monotonic()
        now_ms = await ask()
        ended_at = time.monotonic()
        if ended_at - began_at > _ROUND_TRIP_MAX_SECONDS:
            return
        self._offset = now_ms / 1000 - (began_at + ended_at) / 2
        problem = self.problem
        if problem is not None and not self._reported:
            log.warning(
                "CLOCK_DIFFERS", problem=problem, consequence="none for credits, which only use the ledger's clock"
            )
        if problem is None and self._reported:
            log.info("clock_in_sync")
        self._reported = problem is not None

    async def keep_measuring(self, ask: Callable[[], Awaitable[int]]) -> None:
        """Measure forever: machines are corrected, and ledgers fail over."""
        while True:
            await asyncio.sleep(MEASURE_SECONDS)
            try:
                await self.measure(ask)
            except LedgerUnavailable:
                continue  # reported elsewhere

    def metrics(self) -> Iterator[Metric]:
        """Metrics; none before the first measurement."""
        if (difference := self.difference_seconds) is not None:
            yield GaugeMetricFamily(
                "farebox_clock_difference_seconds",
                "Offset of this machine's clock from the ledger's; positive if ahead.",
                value=difference,
            )


CLOCK = LedgerClock()
"""This process's."""


def now_seconds() -> float:
    """The ledger's time, in seconds since the epoch."""
    return CLOCK.seconds()


def now_ms() -> int:
    """The ledger's time, in milliseconds since the epoch."""
    return int(CLOCK.seconds() * 1000)


class LedgerTimeSigner(TimestampSigner):
    """Signs with the ledger's time, so that gateways whose clocks differ agree on what has expired.

    They agree within the measurements' precision: a signature from another gateway may be dated slightly ahead. It is
    valid, not expired as the plain signer would say.
    """

    def get_timestamp(self) -> int:
        """Now, in seconds."""
        return int(now_seconds())

    @overload
    def unsign(
        self,
        signed_value: str | bytes,
        max_age: int | None = None,
        return_timestamp: Literal[False] = False,  # noqa: FBT002 - the signature is the library's, thrice
    ) -> bytes: ...

    @overload
    def unsign(
        self,
        signed_value: str | bytes,
        max_age: int | None = None,
        return_timestamp: Literal[True] = True,  # noqa: FBT002
    ) -> tuple[bytes, datetime]: ...

    def unsign(
        self,
        signed_value: str | bytes,
        max_age: int | None = None,
        return_timestamp: bool = False,  # noqa: FBT001, FBT002
    ) -> tuple[bytes, datetime] | bytes:
        """The signed value; SignatureExpired if it is older than `max_age`, or well ahead of now."""
        value, signed_at = super().unsign(signed_value, max_age=None, return_timestamp=True)
        age = self.get_timestamp() - int(signed_at.timestamp())
        if max_age is not None and not -AHEAD_MAX_SECONDS <= age <= max_age:
            raise SignatureExpired(f"Signature age {age} is not within {max_age} seconds", value, signed_at)
        return (value, signed_at) if return_timestamp else value
