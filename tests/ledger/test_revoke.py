"""A refunded or disputed purchase takes back what is left of its own grant: never more, never another's."""

from __future__ import annotations

import pytest

from gateway.domain import operation_id
from gateway.ledger import outcomes as o
from tests.ledger.world import World, amounts, the


async def bought(world: World, amount: int = 1_000_000) -> str:
    """A purchase; its grant's id."""
    made = await world.ledger.top_up(account="ann", operation=operation_id(), millicredits=amount, reason="Small")
    return str(the(o.Applied, made).grant)


async def revoke(world: World, grant: str, millicredits: int | None = None, operation: str = "") -> int:
    """Take a grant back; how much that was."""
    made = await world.ledger.revoke(
        account="ann", operation=operation or operation_id(), grant=grant, millicredits=millicredits, reason="disputed"
    )
    return int(the(o.Applied, made).grant or 0)


@pytest.fixture(autouse=True)
async def no_free_credits(world: World) -> None:
    """An account that owns what it bought and nothing else."""
    await world.publish(daily_millicredits=0)
    await world.account()


async def test_an_unspent_purchase_is_taken_back_whole(world: World) -> None:
    grant = await bought(world)
    assert await revoke(world, grant) == 1_000_000
    assert await world.available() == (0, 0, 0)
    [entry] = await world.journal("ann", "revoke")
    assert (entry.credits_millicredits, entry.reason) == (-1_000_000, "disputed")


async def test_only_what_is_left_is_taken_and_never_anothers(world: World) -> None:
    first = await bought(world)
    await world.finish(await world.spend(400_000))
    second = await bought(world)
    assert await revoke(world, first) == 600_000
    assert await world.available() == (0, 0, 1_000_000)
    assert [grant.id for grant in (await world.look()).grants if grant.kind == "top_up"] == [second]


async def test_a_spent_purchase_leaves_nothing_to_take_and_no_entry(world: World) -> None:
    grant = await bought(world)
    await bought(world)
    await world.finish(await world.spend(1_000_000))
    before = await world.journal()
    assert await revoke(world, grant) == 0
    assert await world.journal() == before


async def test_a_partial_refund_takes_its_part_at_most(world: World) -> None:
    grant = await bought(world)
    assert await revoke(world, grant, 300_000) == 300_000
    assert await revoke(world, grant, 900_000) == 700_000
    assert amounts(await world.journal("ann", "revoke")) == [-300_000, -700_000]


async def test_what_is_held_of_a_revoked_purchase_goes_the_same_way_when_it_comes_back(world: World) -> None:
    """R10: it is written as a refund and then a revoke, so that the journal tells both."""
    grant = await bought(world)
    generation = await world.spend(400_000)
    assert await revoke(world, grant) == 600_000
    assert await world.held() == 400_000
    await world.fail(generation)
    assert await world.available() == (0, 0, 0)
    last = [(entry.kind, entry.credits_millicredits, entry.generation) for entry in (await world.journal())[-2:]]
    assert last == [("refund", 400_000, generation), ("revoke", -400_000, generation)]


async def test_what_is_held_of_a_revoked_purchase_can_still_be_delivered_and_paid(world: World) -> None:
    grant = await bought(world)
    generation = await world.spend(400_000)
    await revoke(world, grant)
    ended = await world.finish(generation)
    assert ended.generation.committed_millicredits == 400_000
    assert await world.available() == (0, 0, 0)


async def test_a_partial_refund_lets_what_is_held_come_back(world: World) -> None:
    grant = await bought(world)
    generation = await world.spend(900_000)
    assert await revoke(world, grant, 300_000) == 100_000, "never from held credits"
    await world.fail(generation)
    assert (await world.available())[2] == 900_000


async def test_r11_a_revocation_sent_twice_takes_once(world: World) -> None:
    grant = await bought(world)
    assert await revoke(world, grant, 300_000, "one") == 300_000
    before = await world.contents()
    assert await revoke(world, grant, 300_000, "one") == 300_000
    assert await world.contents() == before


async def test_a_grant_that_is_not_there_is_nothing_to_take(world: World) -> None:
    assert await revoke(world, "t99") == 0
    made = await world.ledger.revoke(account="nobody", operation="x", grant="t1", millicredits=None, reason="x")
    assert isinstance(made, o.NotFound)
