"""`publish` by force: a card of before is put in force again, and stays it."""

from __future__ import annotations

from dataclasses import replace

from tests.ledger.world import PARTITIONS, POLICY, World


async def test_an_older_card_that_is_forced_is_the_newest_from_then_on(world: World) -> None:
    newer = replace(POLICY, version="sha256:newer", file_time_ms=await world.now() - 1000)
    assert await world.ledger.publish(newer)
    before = replace(POLICY, version="sha256:before")
    assert not await world.ledger.publish(before)
    assert await world.ledger.publish(before, force=True)
    found = await world.ledger.policies_in_force()
    assert [one and one.version for one in found] == ["sha256:before"] * PARTITIONS
    assert not await world.ledger.publish(newer), "a restart of a gateway with the newer file does not undo it"


async def test_a_file_from_the_future_can_be_gone_back_from_too(world: World) -> None:
    ahead = replace(POLICY, version="sha256:ahead", file_time_ms=await world.now() + 10**9)
    assert await world.ledger.publish(ahead)
    assert await world.ledger.publish(replace(POLICY, version="sha256:before"), force=True)
    assert not await world.ledger.publish(ahead)


async def test_a_ledger_without_a_policy_says_so(world: World) -> None:
    await world.redis.delete(*(f"{{fb{partition:02x}}}:policy" for partition in (0, 1)))
    found = await world.ledger.policies_in_force()
    assert found[:2] == [None, None]
    assert None not in found[2:]
    await world.publish()
