"""Were one line of the scripts that bill wrong, a test of this folder would tell: each mutant below is caught.

A mutant replaces one piece of Lua, in memory; then the claim of `test_credits_follow_money.py`, `test_paid_periods.py`
or `test_renewals.py`, or the history of `test_money_model.py`, that is known to catch it must not hold.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from gateway.errors import LedgerBroken
from tests.invariants.patched import replaced
from tests.ledger.world import World
from tests.payments import test_credits_follow_money as claims
from tests.payments import test_money_model as histories
from tests.payments import test_paid_periods as periods
from tests.payments import test_renewals as renewals
from tests.payments.shop import buy_plan
from tests.payments.stopped import stopped
from tests.payments.stripe_shop import paid_shop

HISTORIES = 6


class Mutant(NamedTuple):
    """What is wrong, the one piece of Lua that makes it so, and the claim that then does not hold."""

    fault: str
    was: str
    becomes: str
    caught_by: str


MUTANTS = [
    Mutant(
        "a period that nothing was paid for gives credits",
        "if not terms or line.amount <= 0 then return end",
        "if not terms then return end",
        "a_discount_of_100_percent_gives_the_plan_and_no_credits_and_a_lesser_one_all",
    ),
    Mutant(
        "a dearer plan is in force before it is paid for",
        "if one and tonumber(one.monthly) <= tonumber(other.monthly) then return seen.plan end",
        "if one then return seen.plan end",
        "b1_an_update_to_a_dearer_plan_gives_nothing_whatever_its_status",
    ),
    Mutant(
        "a change is worth its time, whatever was paid",
        "return math.min(by_time, by_money or by_time)",
        "return by_time",
        "b2_one_net_line_is_worth_its_money_towards_the_plan_that_was_seen",
    ),
    Mutant(
        "a change is worth its money, however short its time",
        "return math.min(by_time, by_money or by_time)",
        "return by_money or by_time",
        "money_beyond_the_cards_price_buys_no_more_than_the_time",
    ),
    Mutant(
        "what goes back is the smaller of time and money",
        "return -math.max(by_time, by_money or 0)",
        "return -math.min(by_time, by_money or by_time)",
        "a_twenty_paid_switches_leave_what_the_last_plan_is_worth",
    ),
    Mutant(
        "nothing goes back",
        "return -math.max(by_time, by_money or 0)",
        "return 0",
        "a_twenty_paid_switches_leave_what_the_last_plan_is_worth",
    ),
    Mutant(
        "money back is for the plan after the change",
        "return seen_up_to(s, line.from - 1) or s.bought end",
        "return seen_up_to(s, line.from + SAME_MOMENT) or s.bought end",
        "lines_that_name_no_price_are_for_the_plan_before_the_change_and_the_one_after_it",
    ),
    Mutant(
        "a period is for the plan that was seen, whatever its price",
        "if price_of(p, plan, months) == line.gross then return plan, true end",
        "",
        "a_dearer_plan_heard_of_before_the_first_payment_is_not_what_was_paid",
    ),
    Mutant(
        "what may be for two plans is the dearer one's whole allotment",
        "return candidates[1], alike",
        "return candidates[1], true",
        "a_period_that_could_be_for_two_plans_is_worth_its_money",
    ),
    Mutant(
        "the same period paid for twice gives twice",
        "put(era, index, paid, math.max(0, left - set.left), part)",
        "put(era, index, amount, left, part)",
        "a_period_that_is_paid_for_twice_gives_once",
    ),
    Mutant(
        "what went back of an invoice stays given",
        "return math.max(0, left), whole",
        "return whole, whole",
        "what_a_refund_took_is_no_debt",
    ),
    Mutant(
        "the first word on what went back counts",
        "local later = at > known_at",
        "local later = known_at < 0",
        "what_a_refund_took_is_no_debt",
    ),
    Mutant(
        "a change that is billed late is lost in a cycle that is over",
        "put(era, late or index, amount,",
        "put(era, index, amount,",
        "what_was_not_used_of_a_cycle_is_not_owed_when_its_money_goes_back_later",
    ),
    Mutant(
        "what was used beyond its money is forgotten",
        "cycle.set_off = math.min(due, cycle_records.owed(b, list, cycle))",
        "cycle.set_off = 0",
        "what_was_spent_before_a_downgrade_is_set_off_against_the_next_cycles",
    ),
    Mutant(
        "what was set off is set off again",
        "sum = sum + owed_of(list, s, cycle) - cycle.set_off",
        "sum = sum + owed_of(list, s, cycle)",
        "what_was_spent_before_a_downgrade_is_set_off_against_the_next_cycles",
    ),
    Mutant(
        "what was not used is owed",
        "cycle.given - (cycle.left or 0) - (paid",
        "cycle.given - (paid",
        "what_was_not_used_of_a_cycle_is_not_owed_when_its_money_goes_back_later",
    ),
    Mutant(
        "a cycle that begins by itself gives what is owed too",
        "local set_off = math.min(owed, due)",
        "local set_off = 0",
        "what_is_owed_is_short_also_where_a_cycle_begins_by_itself",
    ),
    Mutant(
        "a cycle that begins by itself gives the plan's allotment beside the paid one",
        "if not f.billing or not f.allotments then return nil end",
        "do return nil end",
        "a_discount_of_100_percent_gives_the_plan_and_no_credits_and_a_lesser_one_all",
    ),
    Mutant(
        "the credits of a plan that ended come back whole",
        'grants.add(a, "m", "s", cycle.left or 0, window.expires)',
        'grants.add(a, "m", "s", cycle.given, window.expires)',
        "the_end_of_the_old_that_comes_before_the_new_costs_no_credits",
    ),
    Mutant(
        "a plan waits for a payment that was given up",
        "f.grace = amounts.text(era.waits and grace or 0)",
        "f.grace = amounts.text(grace)",
        "a_plan_waits_for_a_payment_only_while_stripe_tries",
    ),
    Mutant(
        "cycles that begin anew are paid for as long as those before",
        'if b.fields[era.sub.id .. "|era"] ~= began then f.paid_through = nil end',
        "",
        "a_year_that_is_changed_in_its_middle_takes_back_the_months_to_come",
    ),
    Mutant(
        "an old event takes the place of an operator's plan",
        "if plan and (begins or ours) then",
        "if plan then",
        "an_operators_change_is_not_undone_and_mints_nothing_twice",
    ),
    Mutant(
        "a change that is heard of before its period ends the plan for good",
        "if line.amount > 0 then era.paid = math.max(era.paid, line.to) end",
        "",
        "shuffled 5",
    ),
    Mutant(
        "a new card changes what was sold",
        "if known and known.plan == plan and known.months == months then return known, sure end",
        "",
        "a_new_card_changes_nothing_that_was_sold",
    ),
    Mutant(
        "a superseded year gives its months on",
        "index <= calendar.cycle(era.at, math.max(following.at, era.at))",
        "true",
        "a_year_that_another_period_took_the_place_of_gives_its_months_no_more",
    ),
    Mutant(
        "a grant that ended is not remembered as used",
        'record(a, grant.id .. "," .. amounts.text(grant.available))',
        "",
        "what_was_not_used_of_a_cycle_is_not_owed_when_its_money_goes_back_later",
    ),
    Mutant(
        "what operators add while a plan waits for its payment expires at once",
        "return refreshes > a.now and math.min(refreshes, ends) or ends",
        "return math.min(refreshes, ends)",
        "what_operators_add_while_a_plan_waits_for_its_payment_lasts_as_long_as_it_waits",
    ),
    Mutant(
        "what is left of a month that is over comes along to another plan",
        "or old.expires <= a.now ",
        "",
        "what_is_left_of_a_month_that_is_over_does_not_come_along_to_another_plan",
    ),
    Mutant(
        "a renewal shows credits of a cycle that is over",
        "steps.roll(a, p) -- it may have waited",
        "-- it may have waited",
        "an_operator_who_renews_a_plan_that_waits_is_shown_the_cycle_that_begins_with_it",
    ),
    Mutant(
        "refunds and disputes are added over the product of their denominators",
        "return one / a * other",
        "return one * other",
        "refunds_and_a_dispute_of_one_payment_take_whole_millicredits",
    ),
]


def catching(names: set[str]) -> list[tuple[str, Callable[[World], Awaitable[None]]]]:
    """The claims of these names, each with its cases; the others' own tests say that they hold."""
    return [one for one in tried() if one[0] in names]


def tried() -> Iterator[tuple[str, Callable[[World], Awaitable[None]]]]:
    """Every claim by its name, with each of its cases."""
    for module, opens in ((claims, paid_shop), (periods, paid_shop), (renewals, begun_shop)):
        for name, function in vars(module).items():
            if name.startswith("test_"):
                for case in cases(function):
                    yield name.removeprefix("test_"), partial(claim, function, opens, case)
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


async def first_broken(url: str, some: Iterable[tuple[str, Callable[[World], Awaitable[None]]]]) -> str | None:
    """The first claim that does not hold."""
    for name, holds in some:
        try:
            async with stopped(url) as world:
                await holds(world)
        except (AssertionError, LedgerBroken):
            return name
    return None


async def test_every_claim_that_catches_one_holds_with_the_scripts_as_they_are(redis_url: str) -> None:
    with replaced():
        assert await first_broken(redis_url, catching({mutant.caught_by for mutant in MUTANTS})) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault.replace(" ", "-"))
async def test_a_mutant_of_the_scripts_that_bill_is_caught(mutant: Mutant, redis_url: str) -> None:
    with replaced((mutant.was, mutant.becomes)) as changed:
        broken = await first_broken(redis_url, catching({mutant.caught_by}))
        assert changed, "no script has this text"
    assert broken == mutant.caught_by
