"""`sign_out`: a browser's session ends before its time, is remembered as ended, and never comes back."""

from __future__ import annotations

import pytest

from gateway.ledger import accounts, keys
from tests.ledger.world import World

KEY = f"key_{'a' * 32}"
OTHER = f"key_{'b' * 32}"
WEEK = 7 * 86_400


async def sign_out(world: World, session: str, began_at: int, key_id: str = KEY) -> None:
    await world.ledger.sign_out(key_id=key_id, session=session, began_at=began_at, kept_seconds=WEEK)


async def is_over(world: World, session: str, began_at: int, key_id: str = KEY) -> bool:
    return await world.ledger.is_signed_out(key_id=key_id, session=session, began_at=began_at)


async def seconds(world: World) -> int:
    return await world.now() // 1000


async def test_one_session_ends_and_no_other(world: World) -> None:
    now = await seconds(world)
    await sign_out(world, "one", now)
    assert await is_over(world, "one", now)
    assert not await is_over(world, "two", now)
    assert not await is_over(world, "one", now, OTHER)
    assert 0 < await world.redis.ttl(keys.signed_out(KEY)) <= WEEK


async def test_twice_is_once(world: World) -> None:
    now = await seconds(world)
    await sign_out(world, "one", now)
    before = await world.contents()
    await sign_out(world, "one", now)
    assert {name: stored.value for name, stored in (await world.contents()).items()} == {
        name: stored.value for name, stored in before.items()
    }


async def test_what_is_over_by_itself_is_forgotten(world: World) -> None:
    now = await seconds(world)
    await sign_out(world, "old", now - WEEK - 1)
    await sign_out(world, "young", now)
    assert not await is_over(world, "old", now - WEEK - 1)
    assert await is_over(world, "young", now)
    assert await world.redis.zcard(keys.signed_out(KEY)) == 1


@pytest.mark.parametrize("same_second", [True, False])
async def test_so_many_are_remembered_and_of_more_none_comes_back(
    world: World, monkeypatch: pytest.MonkeyPatch, *, same_second: bool
) -> None:
    """Whoever signs in and out for ever fills nothing; sessions that began before the dropped ones end with them."""
    monkeypatch.setattr(accounts, "SIGNED_OUT_MAX", 5)
    now = await seconds(world)
    began = {f"session {number}": now - 50 + (0 if same_second else number) for number in range(40)}
    for session, began_at in began.items():
        await sign_out(world, session, began_at)
        assert await world.redis.zcard(keys.signed_out(KEY)) <= 5 + 1
    assert all([await is_over(world, session, began_at) for session, began_at in began.items()])
    assert await is_over(world, "never signed out, but older", now - 51)
    assert not await is_over(world, "younger", now)


async def test_all_sessions_of_a_key_end_and_stay_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others that are signed out afterwards, and replaced by `*`, do not bring back what began between."""
    monkeypatch.setattr(accounts, "SIGNED_OUT_MAX", 5)
    now = await seconds(world)
    await world.ledger.sign_out_all(key_id=KEY, began_before=now, kept_seconds=WEEK)
    for number in range(7):
        await sign_out(world, f"session {number}", now - 50 + number)
        assert await is_over(world, "never signed out", now - 1)
        assert not await is_over(world, "younger", now)


async def test_it_works_while_memory_is_full(world: World) -> None:
    """Nobody stays signed in because the ledger takes nothing new."""
    now = await seconds(world)
    limit = (await world.redis.config_get("maxmemory"))["maxmemory"]
    await world.redis.config_set("maxmemory", "1")
    try:
        await sign_out(world, "one", now)
    finally:
        await world.redis.config_set("maxmemory", limit)
    assert await is_over(world, "one", now)
