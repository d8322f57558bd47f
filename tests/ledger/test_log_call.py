"""`log_call` and the audit log: one entry per call, replaced when it ends, bounded in number and age."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from gateway.ledger import audit_log, keys
from gateway.ledger.audit_log import CallFilter, OperatorCall
from tests.ledger.world import World

CALL = OperatorCall(request="req_1", key="root", address="::1", action="grantCredits", account="acme")
ALL = CallFilter()


async def listed(world: World) -> list[OperatorCall]:
    return [one.call for one in (await world.ledger.audit_log(limit=100, before=None, only=ALL)).data]


async def test_the_end_of_a_call_replaces_its_beginning(world: World) -> None:
    begun = await world.ledger.log_call(CALL)
    assert await listed(world) == [CALL]
    ended = replace(CALL, status=201, after={"balance.available": 1.5})
    await world.ledger.log_call(ended, begun=begun)
    assert await listed(world) == [ended]


async def test_what_the_client_sends_again_is_logged_once(world: World) -> None:
    begun = await world.ledger.log_call(CALL)
    await world.ledger.log_call(replace(CALL, request="req_2"))
    assert await world.ledger.log_call(CALL) == begun
    ended = await world.ledger.log_call(replace(CALL, status=201), begun=begun)
    assert await world.ledger.log_call(replace(CALL, status=201), begun=begun) == ended
    assert [one.request for one in await listed(world)] == ["req_1", "req_2"]


async def test_a_filter_that_few_pass_gives_short_pages_and_misses_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "_AT_ONCE", 5)
    monkeypatch.setattr(audit_log, "_EXAMINED_MAX", 10)
    for number in range(43):
        account = "rare" if number % 20 == 0 else "acme"
        await world.ledger.log_call(replace(CALL, request=f"req_{number}", account=account))
    found, before, pages = [], None, 0
    while True:
        page = await world.ledger.audit_log(limit=2, before=before, only=CallFilter(account="rare"))
        found += [one.call.request for one in page.data]
        before, pages = page.next, pages + 1
        if before is None:
            break
    assert found == ["req_40", "req_20", "req_0"]
    assert pages > 2


async def test_it_is_bounded_in_number_and_age(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old = await world.now() - audit_log.KEPT_MS - 1
    await world.redis.zadd(keys.AUDIT_LOG, {f"{old:015d}-000000 req_0 {{}}": 0})
    await world.ledger.log_call(CALL)
    assert await listed(world) == [CALL]
    assert await world.redis.zcard(keys.AUDIT_LOG) == 1
    monkeypatch.setattr(audit_log, "ENTRIES_MAX", 100)
    for number in range(450):
        await world.ledger.log_call(replace(CALL, request=f"req_{number}"))
    assert await world.redis.zcard(keys.AUDIT_LOG) == 100
    assert await world.redis.pttl(keys.AUDIT_LOG) > audit_log.KEPT_MS - 60_000


async def test_what_was_written_before_a_call_is_gone_when_it_has_ended(world: World) -> None:
    """It is the account's whole state: several times as much as what the call changed of it."""
    state = {f"keys.key_{number:032x}.label": "web shop" for number in range(40)}
    for number in range(300):
        call = replace(CALL, request=f"req_{number}")
        begun = await world.ledger.log_call(replace(call, before=state))
        await world.ledger.log_call(replace(call, status=201, after={"balance.available": 1.5}), begun=begun)
    used = await world.redis.memory_usage(keys.AUDIT_LOG, samples=0)
    assert used < 300 * 700


async def test_entries_keep_their_order_where_the_clock_goes_back(world: World) -> None:
    ahead = await world.now() + 3_600_000
    stored = json.dumps(asdict(replace(CALL, request="req_0")))
    await world.redis.zadd(keys.AUDIT_LOG, {f"{ahead:015d}-000009 req_0 {stored}": 0})
    for number in (1, 2):
        await world.ledger.log_call(replace(CALL, request=f"req_{number}"))
    assert [call.request for call in await listed(world)] == ["req_2", "req_1", "req_0"]


async def test_it_works_while_memory_is_full(world: World) -> None:
    """Else no leaked key could be revoked then."""
    limit = (await world.redis.config_get("maxmemory"))["maxmemory"]
    await world.redis.config_set("maxmemory", "1")
    try:
        await world.ledger.log_call(CALL)
    finally:
        await world.redis.config_set("maxmemory", limit)
    assert await listed(world) == [CALL]
