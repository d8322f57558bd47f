"""Accounts' keys, operators' keys: only digests are stored, and revoking is at once."""

from __future__ import annotations

import pytest

from gateway.domain import Scope
from gateway.ledger import keys, outcomes
from gateway.ledger.key_records import AccountKey, KeyRecord
from tests.ledger.world import World, the

SECRET = "fbx_a-made-up-key"


async def test_a_key_leads_to_its_account(world: World) -> None:
    made = await world.ledger.add_key(key=SECRET, scope=Scope.ACCOUNT, account="ann", label="web, shop")
    key = the(AccountKey, made)
    found = the(KeyRecord, await world.ledger.find_key(key=SECRET))
    assert (found.key_id, found.scope, found.account, found.keys_version) == (key.id, Scope.ACCOUNT, "ann", 0)
    assert (await world.look()).keys == (key,)
    assert key.label == "web, shop"


async def test_the_key_itself_is_nowhere_in_the_ledger(world: World) -> None:
    await world.ledger.add_key(key=SECRET, scope=Scope.ACCOUNT, account="ann", label=None)
    await world.ledger.add_key(key="fbx_operator", scope=Scope.ADMIN, account=None, label=None)
    text = repr(await world.contents())
    assert SECRET not in text
    assert "fbx_operator" not in text


@pytest.mark.cluster
async def test_revoking_an_accounts_key_is_at_once_also_for_a_cached_one(world: World) -> None:
    key = the(AccountKey, await world.ledger.add_key(key=SECRET, scope=Scope.ACCOUNT, account="ann", label=None))
    cached = the(KeyRecord, await world.ledger.find_key(key=SECRET))
    assert await world.ledger.revoke_key(key_id=key.id, account="ann")
    assert isinstance(await world.ledger.find_key(key=SECRET), outcomes.NotFound)
    async with world.unchanged():
        assert isinstance(await world.reserve(keys_version=cached.keys_version), outcomes.KeysChanged)
    assert not await world.ledger.revoke_key(key_id=key.id, account="ann")


async def test_a_key_is_revoked_only_by_its_own_account_or_scope(world: World) -> None:
    await world.account("bob")
    key = the(AccountKey, await world.ledger.add_key(key=SECRET, scope=Scope.ACCOUNT, account="ann", label=None))
    assert not await world.ledger.revoke_key(key_id=key.id, account="bob")
    assert not await world.ledger.revoke_key(key_id=key.id, account=None)
    assert isinstance(await world.ledger.find_key(key=SECRET), KeyRecord)


async def test_operators_keys_have_no_account(world: World) -> None:
    for scope, secret in ((Scope.ADMIN, "fbx_admin"), (Scope.OPS, "fbx_ops")):
        key = the(AccountKey, await world.ledger.add_key(key=secret, scope=scope, account=None, label="night, shift"))
        found = the(KeyRecord, await world.ledger.find_key(key=secret))
        assert (found.scope, found.account) == (scope, None)
        assert await world.ledger.revoke_key(key_id=key.id, account=None)
        assert isinstance(await world.ledger.find_key(key=secret), outcomes.NotFound)


async def test_an_operators_key_that_never_came_into_force_can_be_taken_off_the_list(world: World) -> None:
    """Whoever made it was killed between the list and the key's record: it was shown, and could not be revoked."""
    key = the(AccountKey, await world.ledger.add_key(key=SECRET, scope=Scope.OPS, account=None, label=None))
    await world.redis.delete(keys.key(key.id))
    assert await world.ledger.operator_keys() == (key,)
    assert await world.ledger.revoke_key(key_id=key.id, account=None)
    assert await world.ledger.operator_keys() == ()


async def test_the_accounts_own_list_decides(world: World) -> None:
    """A key record that outlived its revocation (a crash in between) opens nothing."""
    key = the(AccountKey, await world.ledger.add_key(key=SECRET, scope=Scope.ACCOUNT, account="ann", label=None))
    await world.redis.hdel(world.ledger.account_key("ann"), f"key:{key.id}")
    assert isinstance(await world.ledger.find_key(key=SECRET), outcomes.NotFound)


async def test_a_key_for_an_unknown_account_is_not_made(world: World) -> None:
    made = await world.ledger.add_key(key=SECRET, scope=Scope.ACCOUNT, account="nobody", label=None)
    assert isinstance(made, outcomes.NotFound)
    assert isinstance(await world.ledger.find_key(key=SECRET), outcomes.NotFound)


async def test_a_key_added_twice_is_one_key(world: World) -> None:
    first = await world.ledger.add_key(key=SECRET, scope=Scope.ACCOUNT, account="ann", label="web")
    assert await world.ledger.add_key(key=SECRET, scope=Scope.ACCOUNT, account="ann", label="web") == first
    assert len((await world.look()).keys) == 1
