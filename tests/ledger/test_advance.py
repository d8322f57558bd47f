"""R22: an operator moves one account's time forward, never back, and the account is a test account from then on."""

from __future__ import annotations

from gateway.ledger import outcomes
from tests.ledger.world import DAY, HOUR, World, the


async def test_r22_only_this_account_moves(world: World) -> None:
    bob = await world.account("bob")
    moved = await world.advance(40 * DAY)
    assert moved.now >= bob.now + 40 * DAY
    assert (moved.clock_offset_ms, moved.test) == (40 * DAY, True)
    other = await world.look("bob")
    assert (other.clock_offset_ms, other.test) == (0, False)
    assert other.now < moved.now - 39 * DAY


async def test_r22_moves_add_up_and_stay(world: World) -> None:
    await world.advance(HOUR)
    assert (await world.advance(2 * HOUR)).clock_offset_ms == 3 * HOUR


async def test_r22_deadlines_stay_in_real_time(world: World) -> None:
    generation = await world.spend()
    deadline = await world.deadline(generation)
    await world.advance(40 * DAY)
    assert await world.deadline(generation) == deadline
    assert isinstance(await world.rescue(generation), outcomes.NotDue)


async def test_a_clock_moved_by_centuries_writes_every_cycle(world: World) -> None:
    """Lua's `unpack` takes 8000 values at most: such a move failed after its first write and broke the account."""
    await world.account(plan="standard")
    await world.advance(800 * 366 * DAY)
    account = await world.look()
    entries = await world.journal()
    assert entries[-1].available_after_millicredits == sum(account.available_millicredits.values())
    assert entries[-1].id > 9_000


async def test_a_clock_stops_before_the_end_of_the_calendar(world: World) -> None:
    """Python's calendar ends with the year 9999: an account past it could not be shown any more, every read a 500."""
    moved = await world.ledger.advance(account="ann", operation="far", advance_ms=8000 * 366 * DAY)
    assert the(outcomes.Refused, moved).reason == "too_far"
    assert (await world.look()).clock_offset_ms == 0


async def test_an_unknown_accounts_clock_is_not_found(world: World) -> None:
    moved = await world.ledger.advance(account="nobody", operation="one", advance_ms=DAY)
    assert isinstance(moved, outcomes.NotFound)
