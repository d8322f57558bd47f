"""Were one line of the scripts that bill wrong, a test of this folder would tell: each mutant below is caught.

A mutant replaces one piece of Lua, in memory; then the claims of `test_credits_follow_money.py`,
`test_paid_periods.py` and `test_renewals.py` and histories of `test_money_model.py` are tried until one does not hold.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis

from gateway.errors import LedgerBroken
from tests.invariants.patched import CLOCK, replaced
from tests.ledger.world import World, open_world
from tests.payments import test_credits_follow_money as claims
from tests.payments import test_money_model as histories
from tests.payments import test_paid_periods as periods
from tests.payments import test_renewals as renewals
from tests.payments.shop import buy_plan
from tests.payments.stripe_shop import paid_shop

HISTORIES = 6


class Mutant(NamedTuple):
    """What is wrong, and the one piece of Lua that makes it so."""

    fault: str
    was: str
    becomes: str


MUTANTS = [
    Mutant(
        "a period that nothing was paid for gives credits",
        "if not terms or line.amount <= 0 then return end",
        "if not terms then return end",
    ),
    Mutant(
        "a dearer plan is in force before it is paid for",
        "if one and tonumber(one.monthly) <= tonumber(other.monthly) then return seen.plan end",
        "if one then return seen.plan end",
    ),
    Mutant(
        "a change is worth its time, whatever was paid",
        "return math.min(by_time, by_money or by_time)",
        "return by_time",
    ),
    Mutant(
        "a change is worth its money, however short its time",
        "return math.min(by_time, by_money or by_time)",
        "return by_money or by_time",
    ),
    Mutant(
        "what goes back is the smaller of time and money",
        "return -math.max(by_time, by_money or 0)",
        "return -math.min(by_time, by_money or by_time)",
    ),
    Mutant(
        "nothing goes back",
        "return -math.max(by_time, by_money or 0)",
        "return 0",
    ),
    Mutant(
        "money back is for the plan after the change",
        "return seen_up_to(s, line.from - 1) or s.bought end",
        "return seen_up_to(s, line.from + SAME_MOMENT) or s.bought end",
    ),
    Mutant(
        "a period is for the plan that was seen, whatever its price",
        "if price_of(p, plan, months) == line.gross then return plan, true end",
        "",
    ),
    Mutant(
        "what may be for two plans is the dearer one's whole allotment",
        "return candidates[1], alike",
        "return candidates[1], true",
    ),
    Mutant(
        "the same period paid for twice gives twice",
        "put(era, index, math.max(0, amount - set.paid), math.max(0, left - set.left))",
        "put(era, index, amount, left)",
    ),
    Mutant(
        "what went back of an invoice stays given",
        "return math.max(0, whole - back), whole",
        "return whole, whole",
    ),
    Mutant(
        "the first word on what went back counts",
        "local later = at > known_at",
        "local later = known_at < 0",
    ),
    Mutant(
        "a change that is billed late is lost in a cycle that is over",
        "put(era, late or index, amount,",
        "put(era, index, amount,",
    ),
    Mutant(
        "what was used beyond its money is forgotten",
        "cycle.set_off = math.min(due, provided.owed(b, list, cycle))",
        "cycle.set_off = 0",
    ),
    Mutant(
        "what was set off is set off again",
        "sum = sum + owed_of(list, s, cycle) - cycle.set_off",
        "sum = sum + owed_of(list, s, cycle)",
    ),
    Mutant(
        "what was not used is owed",
        "cycle.given - (cycle.left or 0) - (paid",
        "cycle.given - (paid",
    ),
    Mutant(
        "a cycle that begins by itself gives what is owed too",
        "local set_off = math.min(owed, due)",
        "local set_off = 0",
    ),
    Mutant(
        "a cycle that begins by itself gives the plan's allotment beside the paid one",
        "if not f.billing or not f.allotments then return nil end",
        "do return nil end",
    ),
    Mutant(
        "the credits of a plan that ended come back whole",
        'grants.add(a, "m", "s", cycle.left or 0, window.expires)',
        'grants.add(a, "m", "s", cycle.given, window.expires)',
    ),
    Mutant(
        "a plan waits for a payment that was given up",
        "f.grace = amounts.text(era.waits and grace or 0)",
        "f.grace = amounts.text(grace)",
    ),
    Mutant(
        "cycles that begin anew are paid for as long as those before",
        'if b.fields[era.sub.id .. "|era"] ~= began then f.paid_through = nil end',
        "",
    ),
    Mutant(
        "an old event takes the place of an operator's plan",
        "if plan and (begins or ours) then",
        "if plan then",
    ),
    Mutant(
        "a change that is heard of before its period ends the plan for good",
        "if line.amount > 0 then era.paid = math.max(era.paid, line.to) end",
        "",
    ),
    Mutant(
        "a new card changes what was sold",
        "if known and known.plan == plan and known.months == months then return known, sure end",
        "",
    ),
    Mutant(
        "a superseded year gives its months on",
        "index <= calendar.cycle(era.at, math.max(following.at, era.at))",
        "true",
    ),
    Mutant(
        "a grant that ended is not remembered as used",
        'turn(a, grant.id .. "," .. amounts.text(grant.available))',
        "",
    ),
]


class StoppedWorld(World):
    """A world whose time stands still, as that of the scripts does here."""

    async def now(self) -> int:
        return int(await self.redis.get(CLOCK))


def tried() -> Iterator[tuple[str, Callable[[World], Awaitable[None]]]]:
    """Every claim by its name, with each of its cases."""
    for module, opens in ((claims, paid_shop), (periods, paid_shop), (renewals, begun_shop)):
        for name, function in vars(module).items():
            if name.startswith("test_"):
                for case in cases(function):
                    yield name, partial(claim, function, opens, case)
    for number in range(HISTORIES):
        yield f"in time {number}", partial(histories.play_in_time, number=number)
        yield f"shuffled {number}", partial(histories.play_shuffled, number=number)


def cases(function: Any) -> list[dict[str, Any]]:
    """The arguments that a claim is parametrized with; once without any."""
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    if not marks:
        return [{}]
    names, values = marks[0].args
    if isinstance(names, str):
        return [{names: value} for value in values]
    return [dict(zip(names, value, strict=True)) for value in values]


async def claim(function: Any, opens: Any, case: dict[str, Any], world: World) -> None:
    if "shop" in inspect.signature(function).parameters:
        await function(await opens(world), **case)
    else:
        await function(world, **case)


async def begun_shop(world: World) -> renewals.Shop:
    await world.account()
    checkout = await buy_plan(world, provider="stripe", live=True)
    return renewals.Shop(world, checkout, await world.now() // 1000 * 1000)


async def first_broken(url: str) -> str | None:
    """The first claim that does not hold."""
    for name, holds in tried():
        async with Redis.from_url(url) as redis:
            await redis.flushall()
            await redis.set(CLOCK, time.time_ns() // 1_000_000)
        async with open_world(url) as world:
            try:
                await holds(StoppedWorld(world.ledger, world.policy))
            except (AssertionError, LedgerBroken):
                world.holds = False
                return name
    return None


async def test_every_claim_holds_with_the_scripts_as_they_are(redis_url: str) -> None:
    with replaced():
        assert await first_broken(redis_url) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault.replace(" ", "-"))
async def test_a_mutant_of_the_scripts_that_bill_is_caught(mutant: Mutant, redis_url: str) -> None:
    with replaced((mutant.was, mutant.becomes)) as changed:
        broken = await first_broken(redis_url)
        assert changed, "no script has this text"
    assert broken is not None
