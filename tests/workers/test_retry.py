from __future__ import annotations

import pytest

from gateway.errors import LedgerBroken, LedgerUnavailable
from workers.retry import retry_until_answered


async def test_an_outage_is_outlasted_however_long_it_is() -> None:
    """The pause once grew as 2 to the number of failures: after half an hour that was no float any more."""
    asked = 0

    async def ask() -> str:
        nonlocal asked
        asked += 1
        if asked <= 1500:
            raise LedgerUnavailable("not yet")
        return "renewed"

    assert await retry_until_answered("renew", ask, lease_seconds=0.0001) == "renewed"
    assert asked == 1501


async def test_what_is_not_an_outage_is_passed_on() -> None:
    async def ask() -> str:
        raise LedgerBroken("contradiction")

    with pytest.raises(LedgerBroken):
        await retry_until_answered("renew", ask, lease_seconds=30)
