"""An event that cannot be applied is kept, shown and tried again: no payment without a trace."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from gateway.api import services
from gateway.domain import partition_of_account
from gateway.ledger import keys
from gateway.ledger.unapplied import EVENTS_MAX
from gateway.payments.received import without_persons
from gateway.payments.stripe_events import translate
from tests.api.visitor import Reply, Visitor
from tests.payments import stripe_shapes as shapes
from tests.payments.shop import read_checkout
from tests.payments.stripe_server import StripeServer
from tests.until import until

WEBHOOK = "/v1/payments/stripe/webhook"
EVENTS = "/v1/ops/payment-events"
NOW = 1_795_000_000
MONTH = 30 * shapes.DAY


async def hook(gateway: Visitor, event: shapes.Event) -> Reply:
    body, headers = shapes.signed(event)
    return await gateway.call("POST", WEBHOOK, headers=headers, raw=body)


async def waiting(gateway: Visitor) -> list[dict[str, Any]]:
    listed = await gateway.call("GET", EVENTS, gateway.admin)
    assert listed.status == 200, listed.raw
    data: list[dict[str, Any]] = listed.body["data"]
    return data


async def sold(gateway: Visitor) -> tuple[str, Any, Any, int]:
    """An account's key, the plan and the bundle that it has begun to buy, and now."""
    key = await gateway.account()
    begun = await gateway.call("POST", "/v1/subscriptions", key, {"plan": "basic", "interval": "monthly"})
    plan = await read_checkout(gateway.ledger, "acme", begun.body["id"])
    now = plan.created_at // 1000
    assert (await hook(gateway, shapes.invoice(plan, "sub_1", now, now + MONTH))).status == 200
    begun = await gateway.call("POST", "/v1/top-ups", key, {"bundle": "small"})
    return key, plan, await read_checkout(gateway.ledger, "acme", begun.body["id"]), now


def of_an_unknown_plan(plan: Any, now: int) -> shapes.Event:
    """T1: changed in Stripe's portal to a price of a plan that is on no card."""
    event = shapes.subscription_seen(plan, "sub_1", now, now + 10)
    event["data"]["object"]["items"]["data"][0]["price"]["metadata"] = {"farebox_plan": "gold"}
    return event


async def test_t1_an_event_of_an_unknown_plan_is_kept_shown_and_does_not_stop_the_next_payment(
    selling: Visitor,
) -> None:
    """It was answered 500 for ever, and the next `invoice.paid` failed with it: money in, plan free."""
    key, plan, _, now = await sold(selling)
    event = of_an_unknown_plan(plan, now)
    for _ in range(2):
        assert (await hook(selling, event)).status == 200
    (kept,) = await waiting(selling)
    assert (kept["id"], kept["type"], kept["account"]) == (event["id"], event["type"], "acme")
    assert kept["reason"] == "unknown_plan"
    assert "gold" in kept["detail"]
    ready = await selling.call("GET", "/readyz")
    assert (ready.status, ready.body["status"]) == (200, "degraded")
    assert "1 payment event could not be applied" in " ".join(ready.body["problems"])
    assert b"farebox_payment_events_unapplied 1.0" in (await selling.call("GET", "/metrics")).raw
    paid = shapes.invoice(plan, "sub_1", now + MONTH, now + 2 * MONTH)
    assert (await hook(selling, paid)).status == 200
    balance = (await selling.call("GET", "/v1/balance", key)).body
    assert balance["plan"]["id"] == "basic"


async def test_a_card_that_has_the_plan_lets_it_be_applied_and_all_is_well_again(selling: Visitor) -> None:
    _, plan, _, now = await sold(selling)
    event = of_an_unknown_plan(plan, now)
    await hook(selling, event)
    still = await selling.call("POST", f"{EVENTS}/{event['id']}/retry", selling.admin)
    assert (still.status, still.body["applied"], still.body["event"]["tries"]) == (200, False, 2)
    await selling.ledger.command("HSET", *await _plan_named(selling, "gold"))
    applied = await selling.call("POST", f"{EVENTS}/{event['id']}/retry", selling.admin)
    assert (applied.status, applied.body["applied"], applied.body["event"]) == (200, True, None)
    assert await waiting(selling) == []
    assert (await selling.call("GET", "/readyz")).body["status"] == "ok"
    assert (await selling.call("POST", f"{EVENTS}/{event['id']}/retry", selling.admin)).status == 404


async def test_saving_a_card_with_the_plan_applies_it_without_another_word(selling: Visitor, tmp_path: Path) -> None:
    _, plan, _, now = await sold(selling)
    await hook(selling, of_an_unknown_plan(plan, now))
    card = tmp_path / "pricing.toml"
    gold = '\n[plans.gold]\nname = "Gold"\nmonthly_credits = 5000\nprice = { monthly = 20.00 }\n'
    card.write_text(card.read_text() + gold)

    async def is_applied() -> bool:
        return not await waiting(selling)

    await until(is_applied)
    assert (await selling.call("GET", "/readyz")).body["status"] == "ok"


async def _plan_named(gateway: Visitor, plan: str) -> tuple[str, str, str]:
    """A command's words that give the ledger's policy a plan with the terms of `basic`."""
    policy = keys.policy(partition_of_account("acme", gateway.ledger.partitions))
    terms = await gateway.ledger.command("HGET", policy, "plan:basic")
    return policy, f"plan:{plan}", terms.decode()


async def test_an_event_of_an_unknown_purchase_is_kept_and_can_be_dropped(selling: Visitor) -> None:
    _, _, bundle, now = await sold(selling)
    event = shapes.bundle_paid(bundle, "pi_1", now)
    event["data"]["object"]["metadata"]["farebox_checkout"] = "chk_of_another_ledger"
    assert (await hook(selling, event)).status == 200
    (kept,) = await waiting(selling)
    assert (kept["reason"], kept["account"]) == ("unknown_checkout", "acme")
    ops = await selling.call("DELETE", f"{EVENTS}/{event['id']}", selling.admin)
    assert (ops.status, ops.body) == (200, {"id": event["id"], "dropped": True})
    assert (await selling.call("DELETE", f"{EVENTS}/{event['id']}", selling.admin)).status == 404
    assert (await selling.call("GET", "/readyz")).body["status"] == "ok"


async def test_stored_events_have_no_personal_data(selling: Visitor) -> None:
    _, _, bundle, now = await sold(selling)
    event = shapes.bundle_paid(bundle, "pi_1", now)
    event["data"]["object"]["metadata"] |= {"farebox_checkout": "chk_no", "remark": "for Ann"}
    await hook(selling, event)
    (text,) = (await selling.ledger.kept_events()).values()
    assert "chk_no" in text
    assert "Ann" not in text
    assert "example.com" not in text


async def test_one_event_more_than_can_be_kept_is_asked_for_again(selling: Visitor) -> None:
    _, plan, _, now = await sold(selling)
    for number in range(EVENTS_MAX):
        assert await selling.ledger.keep_event(f"evt_x{number}", "{}")
    refused = await hook(selling, of_an_unknown_plan(plan, now))
    assert refused.status == 503
    await selling.ledger.drop_event("evt_x0")
    assert (await hook(selling, of_an_unknown_plan(plan, now))).status == 200
    await selling.ledger.command("DEL", "fb:unapplied")


async def test_what_is_no_event_is_refused(selling: Visitor) -> None:
    named = {"type": "invoice.paid"}
    nothings: list[Any] = [[], {}, {"id": "evt_1"}, {"id": 5} | named, {"id": "evt_\n"} | named]
    for nothing in nothings:
        assert (await hook(selling, nothing)).status == 400
    assert await waiting(selling) == []


def every_event(plan: Any, bundle: Any, now: int) -> list[shapes.Event]:
    return [
        shapes.bundle_paid(bundle, "pi_1", now),
        shapes.plan_checked_out(plan, "sub_1", now),
        shapes.invoice(plan, "sub_1", now, now + MONTH),
        shapes.invoice(plan, "sub_1", now, now + MONTH, paid=False),
        shapes.subscription_seen(plan, "sub_1", now, now),
        shapes.subscription_seen(plan, "sub_1", now, now, kind="deleted", ended_at=now),
        shapes.refunded(bundle, "pi_1", 500, now),
        shapes.refund(bundle, "pi_1", 500, now),
        shapes.refund(bundle, "pi_1", 500, now, word="refund.failed"),
        *(shapes.disputed(bundle, "pi_1", now, word=word, status=status)
          for word, status in (("created", "needs_response"), ("funds_withdrawn", "needs_response"),
                               ("funds_reinstated", "won"), ("closed", "lost"), ("closed", "won"))),
    ]  # fmt: skip


@pytest.mark.parametrize("numbers", [range(7), range(7, 14)], ids=["paid", "returned"])
async def test_every_event_with_a_member_missing_is_taken_or_kept(
    selling: Visitor, stripe_server: StripeServer, numbers: range
) -> None:
    """Whatever Stripe leaves out next is taken, and what could not be applied is on the list. Never a script's error.

    Each is handed to what the call hands it to once it is found to be Stripe's.
    """
    _, plan, bundle, now = await sold(selling)
    stripe_server.payment_intents["pi_1"] = shapes.metadata_of(bundle)
    events = every_event(plan, bundle, now)
    assert len(events) == 14
    for number in numbers:
        paths = _paths(events[number]["data"]["object"])
        for index, path in enumerate(paths):
            without = copy.deepcopy(events[number])
            without["id"] = f"evt_{number}_{index}"
            _remove(without["data"]["object"], path)
            await selling.app[services.PAYMENT_EVENTS].receive(without)
        assert (await hook(selling, events[number])).status == 200
    assert {kept["reason"] for kept in await waiting(selling)} <= {"not_understood"}


def _paths(about: Any) -> list[tuple[Any, ...]]:
    """Each member of an object, and of those that it holds."""
    found: list[tuple[Any, ...]] = []
    places = about.items() if isinstance(about, dict) else enumerate(about)
    for name, value in places:
        found.append((name,))
        if isinstance(value, dict | list):
            found += [(name, *rest) for rest in _paths(value)]
    return found


def _remove(about: Any, path: tuple[Any, ...]) -> None:
    for name in path[:-1]:
        about = about[name]
    del about[path[-1]]


async def test_what_is_kept_says_the_same_as_what_came(selling: Visitor) -> None:
    _, plan, bundle, now = await sold(selling)
    for event in every_event(plan, bundle, now):
        assert translate(without_persons(event)) == translate(event), event["type"]
