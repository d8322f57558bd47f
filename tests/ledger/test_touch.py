"""`touch`: when keys were last used, noted beside requests."""

from __future__ import annotations

from typing import Any

from gateway.domain import Scope
from gateway.ledger.accounts import key_id_of
from gateway.ledger.key_records import AccountKey
from tests.ledger.world import World, the

SECRET = "fbx_a-made-up-key"


async def a_key(world: World, secret: str = SECRET) -> AccountKey:
    return the(AccountKey, await world.ledger.add_key(key=secret, scope=Scope.ACCOUNT, account="ann", label=None))


async def test_a_keys_last_use_is_shown(world: World) -> None:
    key = await a_key(world)
    assert key.last_used_at is None
    await world.ledger.touch(account="ann", used={key.id: 5_000})
    (shown,) = (await world.look()).keys
    now = await world.now()
    assert shown.last_used_at is not None
    assert now - 65_000 < shown.last_used_at <= now - 5_000


async def test_an_older_use_does_not_replace_a_newer_one(world: World) -> None:
    key = await a_key(world)
    await world.ledger.touch(account="ann", used={key.id: 0})
    async with world.unchanged():
        await world.ledger.touch(account="ann", used={key.id: 60_000})


async def test_a_key_that_was_revoked_meanwhile_leaves_nothing(world: World) -> None:
    key, kept = await a_key(world), await a_key(world, "fbx_another")
    await world.ledger.touch(account="ann", used={key.id: 0})
    await world.ledger.revoke_key(key_id=key.id, account="ann")
    await world.ledger.touch(account="ann", used={key.id: 0, kept.id: 0})
    (shown,) = (await world.look()).keys
    assert (shown.id, shown.last_used_at is not None) == (kept.id, True)
    fields = await world.redis.hkeys(world.ledger.account_key("ann"))
    assert not [name for name in fields if key.id in name.decode()]


async def test_reserve_records_its_keys_use_once_a_minute(world: World) -> None:
    """Most keys do little but order: a `touch` for each was a script more."""
    key = await a_key(world)

    async def used_after_an_order(**more: Any) -> int | None:
        await world.spend(price=1_000, key=key.id, **more)
        (shown,) = (await world.look()).keys
        return shown.last_used_at

    version = (await world.look()).keys_version
    assert await used_after_an_order(keys_version=None) is None, "an operator's retry does not use the key"
    first = await used_after_an_order(keys_version=version)
    assert first is not None
    assert await used_after_an_order(keys_version=version) == first
    field = f"used:{key.id}"
    await world.redis.hset(world.ledger.account_key("ann"), field, str(first - 61_000))
    later = await used_after_an_order(keys_version=version)
    assert later is not None
    assert later >= first


async def test_an_unknown_account_is_not_made(world: World) -> None:
    async with world.unchanged():
        await world.ledger.touch(account="nobody", used={key_id_of(SECRET): 0})


async def test_operators_keys_are_listed_with_their_last_use(world: World) -> None:
    made = [
        the(AccountKey, await world.ledger.add_key(key=secret, scope=scope, account=None, label=label))
        for scope, secret, label in ((Scope.ADMIN, "fbx_1", None), (Scope.OPS, "fbx_2", "night, shift"))
    ]
    assert set(await world.ledger.operator_keys()) == set(made)
    await world.ledger.touch(account=None, used={made[1].id: 1_000})
    used = {key.id: key.last_used_at for key in await world.ledger.operator_keys()}
    assert used[made[0].id] is None
    assert used[made[1].id] is not None
    assert await world.ledger.revoke_key(key_id=made[1].id, account=None)
    await world.ledger.touch(account=None, used={made[1].id: 0})
    assert await world.ledger.operator_keys() == (made[0],)
    await world.ledger.revoke_key(key_id=made[0].id, account=None)
    assert "fb:operators" not in await world.contents()
