"""Were one line of the scripts that take back and give back wrong, a claim of this folder would tell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import pytest

from gateway.errors import LedgerBroken
from gateway.payments.links import CheckoutLinks
from gateway.payments.stripe import StripePayments
from tests.invariants.patched import replaced
from tests.ledger.world import World
from tests.payments import stripe_shapes as shapes
from tests.payments import test_debts as debts
from tests.payments import test_returns as returns
from tests.payments.stopped import stopped
from tests.payments.stripe_server import KEY, open_stripe


class Mutant(NamedTuple):
    """What is wrong, and the one piece of Lua that makes it so."""

    fault: str
    was: str
    becomes: str


MUTANTS = [
    Mutant(
        "what a dispute took stays taken when its money comes back",
        "local back = math.max(taken - due, 0)",
        "local back = 0",
    ),
    Mutant("a refund that bounces stays taken", "bounced = bounced + fact.parts", "bounced = bounced + 0"),
    Mutant(
        "a refund that bounced before another is taken off that one",
        "fact.made <= sum.at and sum.at <= fact.at",
        "fact.made <= sum.at",
    ),
    Mutant(
        "what is taken as it comes back is never given back",
        'accounts.add(a, "returned:" .. share.id, amount)',
        "",
    ),
    Mutant(
        "what is held after the money came back is taken all the same",
        'marks.clear(a, "revoked", f.grant)',
        "",
    ),
    Mutant("two disputes take no more than one", "disputed = disputed + fact.parts", "disputed = fact.parts"),
    Mutant("what is bought pays no debt", "if pays == 0 then return end", "do return end"),
    Mutant(
        "free credits and operators' grants pay debts",
        'if kind == "t" or kind == "m" then grants.pays_debt(a, grant) end',
        "grants.pays_debt(a, grant)",
    ),
    Mutant("money that comes back leaves the debt as it was", 'accounts.add(a, "debt", -waived)', ""),
    Mutant(
        "what is held of a debtor's purchase comes back to him",
        'if owing and grant.held > 0 then marks.set(a, "owing", grant.id) end',
        "",
    ),
    Mutant(
        "what was owed for a part is taken again with the whole",
        "everything and tonumber(f.credits) - tonumber(f.taken or 0) or more",
        "everything and grant.available or more",
    ),
]

CLAIMS: list[Callable[[returns.Buyer], Awaitable[None]]] = [
    returns.test_c3_what_was_taken_comes_back_to_its_grant_exactly,
    returns.test_two_disputes_on_one_charge_add_up,
    returns.test_what_was_held_when_it_was_taken_is_given_back_too,
    returns.test_what_is_held_while_the_money_comes_back_returns_to_its_grant,
    returns.test_a_refund_is_known_by_its_own_events_alone,
    returns.test_a_refund_that_failed_before_another_was_made_is_not_subtracted_from_it,
    partial(returns.test_a_refund_that_bounces_gives_its_credits_back, word="refund.failed"),
]
DEBTS: list[Callable[[World], Awaitable[None]]] = [
    debts.test_the_next_bundle_pays_first,
    debts.test_the_next_months_credits_pay_first_and_free_credits_never,
    debts.test_an_operators_grant_pays_no_debt,
    debts.test_money_that_comes_back_ends_the_debt_before_it_adds_credits,
    debts.test_what_was_owed_for_a_part_is_not_taken_again_with_the_whole,
]


async def holds(url: str) -> None:
    """Every claim, one after the other."""
    async with open_stripe() as server:
        links = CheckoutLinks("secret", "http://gate")
        provider = StripePayments(key=KEY, webhook_secret=shapes.SECRET, links=links, api_base=server.address)
        try:
            for claim in CLAIMS:
                async with stopped(url) as world:
                    await claim(await returns.buyer_of(world, provider, server))
        finally:
            await provider.close()
    for owed in DEBTS:
        async with stopped(url) as world:
            await owed(world)
    for delivered in (True, False):
        async with stopped(url) as world:
            await debts.test_what_is_held_is_owed_until_it_comes_back(world, delivered=delivered)


async def test_every_claim_holds_with_the_scripts_as_they_are(redis_url: str) -> None:
    with replaced():
        await holds(redis_url)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault.replace(" ", "-"))
async def test_a_mutant_of_the_scripts_that_take_back_is_caught(mutant: Mutant, redis_url: str) -> None:
    with replaced((mutant.was, mutant.becomes)) as changed:
        with pytest.raises((AssertionError, LedgerBroken)):
            await holds(redis_url)
        assert changed, "no script has this text"
