"""A gateway whose machine has another time says so, and agrees with the others about what has expired."""

from __future__ import annotations

import pytest

from gateway import clock
from tests.api.visitor import SKETCH, Visitor


async def test_a_gateway_whose_clock_differs_is_degraded_and_its_quotes_are_everybodys(
    gateway: Visitor, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = clock.local_seconds
    monkeypatch.setattr(clock, "local_seconds", lambda: local() + 7200)
    ready = (await gateway.call("GET", "/readyz")).body
    assert ready["status"] == "degraded"
    assert (
        "this machine's clock is 7,200 s ahead of the ledger's: check its time synchronization (NTP)"
        in ready["problems"]
    )
    quoted = (await gateway.call("POST", "/v1/quotes", key, SKETCH)).body
    monkeypatch.setattr(clock, "local_seconds", lambda: local() - 7200)
    made = await gateway.create(key, quote=quoted["quote"])
    assert made.status == 202, made.raw
    (differs,) = (await gateway.samples())["farebox_clock_difference_seconds"].values()
    assert differs == pytest.approx(-7200, abs=5)
