"""The policy: what scripts need of the rate card, written to each partition; newer is the later file time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import LedgerBroken
from gateway.ledger import keys
from tests.ledger.world import PARTITIONS, POLICY, World


async def test_a_policy_is_written_to_every_partition(world: World) -> None:
    contents = await world.contents()
    policies = [contents[keys.policy(partition)].value for partition in range(PARTITIONS)]
    assert all(policy == policies[0] for policy in policies)
    assert (policies[0]["version"], policies[0]["daily"]) == (POLICY.version, "100000")


async def test_an_older_card_is_refused_and_changes_nothing(world: World) -> None:
    await world.publish(version="sha256:newer", daily_millicredits=5)
    async with world.unchanged():
        assert not await world.ledger.publish(replace(POLICY, daily_millicredits=7))


async def test_the_same_card_may_be_published_again(world: World) -> None:
    async with world.unchanged():
        assert await world.ledger.publish(world.policy)


async def test_a_plan_missing_from_a_newer_card_keeps_its_terms_and_is_not_for_sale(world: World) -> None:
    await world.publish(plans={"pro": POLICY.plans["pro"]})
    policy = (await world.contents())[keys.policy(0)].value
    assert {name for name in policy if name.startswith("plan:")} == {"plan:pro", "plan:standard"}
    assert {name for name in policy if name.startswith("sale:")} == {"sale:pro"}
    await world.publish(plans=POLICY.plans)
    policy = (await world.contents())[keys.policy(0)].value
    assert {name for name in policy if name.startswith("sale:")} == {"sale:pro", "sale:standard"}


async def test_fields_that_cannot_be_read_change_nothing(world: World) -> None:
    """They were read after the first write, which had taken every plan off sale."""
    async with world.unchanged():
        with pytest.raises(LedgerBroken):
            await world.ledger.run(
                "publish",
                keys.policy(0),
                version="sha256:newer",
                file_time=2**50,
                keep_journal_ms=1,
                keep_least_ms=1,
                fields='["zone",',
            )


async def test_a_new_card_rules_at_once(world: World) -> None:
    await world.publish(daily_millicredits=7_000)
    assert (await world.available())[0] == 100_000, "what was given stays until the reset"
    await world.account("bob")
    assert (await world.available("bob"))[0] == 7_000
