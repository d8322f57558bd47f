"""The ledger remembers a mark of the signing key: who starts with another key is refused, and told the way out.

After a restore without `signing-key` one was made anew without a word, and every webhook was signed wrong.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.ledger import keys
from gateway.settings import Settings
from gateway.startup.signing_key import check_signing_key, mark_of
from tests.ledger.world import World


def settings_with(key: str) -> Settings:
    return Settings.model_validate({"signing_key": key})


async def test_the_first_key_is_remembered_and_taken_again(world: World) -> None:
    key = secrets.token_urlsafe(32)
    await check_signing_key(world.ledger, settings_with(key))
    async with world.unchanged():
        await check_signing_key(world.ledger, settings_with(key))
    kept = await world.ledger.signing_key_mark()
    assert kept == mark_of(key)
    assert kept not in key


async def test_another_key_is_refused_with_both_marks_and_the_way_out(world: World, tmp_path: Path) -> None:
    first, other = secrets.token_urlsafe(32), Settings(data=tmp_path)
    await check_signing_key(world.ledger, settings_with(first))
    with pytest.raises(SettingsError) as raised:
        await check_signing_key(world.ledger, other)
    said = str(raised.value)
    for part in (mark_of(first), mark_of(other.secret("signing-key")), str(tmp_path / "signing-key")):
        assert part in said
    assert "farebox signing-key adopt" in said
    assert first not in said
    assert other.secret("signing-key") not in said
    assert await world.ledger.signing_key_mark() == mark_of(first)


async def test_of_two_gateways_that_start_at_once_with_different_keys_one_is_refused(world: World) -> None:
    pair = [settings_with(secrets.token_urlsafe(32)) for _ in range(2)]
    ends = await asyncio.gather(*(check_signing_key(world.ledger, one) for one in pair), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["NoneType", "SettingsError"]


async def test_a_key_that_is_adopted_is_the_one_from_then_on(world: World) -> None:
    old, new = (settings_with(secrets.token_urlsafe(32)) for _ in range(2))
    await check_signing_key(world.ledger, old)
    await world.ledger.adopt_signing_key(mark_of(new.secret("signing-key")))
    await check_signing_key(world.ledger, new)
    with pytest.raises(SettingsError):
        await check_signing_key(world.ledger, old)


async def test_a_ledger_from_before_this_takes_the_present_key(world: World) -> None:
    """Its other keys are there, the mark is not; the audit knows the new key (`test_audit`'s are all clean)."""
    assert keys.SIGNING_KEY not in await world.contents()
    await check_signing_key(world.ledger, settings_with(secrets.token_urlsafe(32)))
    assert keys.SIGNING_KEY in await world.contents()
