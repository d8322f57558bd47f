"""A time that stands still, for a ledger and for this process as far as it is the ledger's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from gateway.clock import CLOCK
from tests.invariants.patched import CLOCKS, replaced


@dataclass
class StandingClock:
    """The time of the ledger and of this process, as far as it is the ledger's."""

    now: int

    @contextmanager
    def instead_of_time(self) -> Iterator[None]:
        """Scripts that are loaded meanwhile read it where `show` puts it."""
        with replaced(), patch.object(CLOCK, "seconds", lambda: (self.now + 0.5) / 1000):  # 0.5: never rounded down
            yield

    async def show(self, redis: Any) -> None:
        """Write it where the scripts read it."""
        await asyncio.gather(*(redis.set(name, self.now) for name in CLOCKS))
