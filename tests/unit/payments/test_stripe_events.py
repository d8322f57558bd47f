"""What Stripe's events mean to us: real shapes, old and new, and all that is not about us."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import Interval
from gateway.ledger.payments import Billing, Checkout, PaidLine
from gateway.payments.base import PaymentMade
from gateway.payments.stripe_events import translate
from gateway.payments.stripe_money import MoneyMoved
from tests.payments import stripe_shapes as shapes

BUNDLE = Checkout(
    id="chk_1", account="ann", kind="bundle", what="small", interval=None, name="Small", millicredits=1_000_000,
    price=Decimal("5.00"), currency="USD", provider="stripe", status="open", created_at=1,
)  # fmt: skip
PLAN = replace(BUNDLE, id="chk_2", kind="plan", what="standard", interval=Interval.MONTHLY, price=Decimal("30.00"))
Shape = Callable[[shapes.Event], shapes.Event]
START, END = 1_795_000_000, 1_797_592_000


def billing(**facts: Any) -> Billing:
    return replace(Billing(account="ann", checkout="chk_2", subscription="sub_1"), **facts)


def test_a_completed_session_of_a_bundle_is_a_payment() -> None:
    assert translate(shapes.bundle_paid(BUNDLE, "pi_1", START)) == PaymentMade("ann", "chk_1", "pi_1")


def test_a_session_whose_payment_is_still_under_way_is_none() -> None:
    assert translate(shapes.bundle_paid(BUNDLE, "pi_1", START, payment_status="unpaid")) is None


def test_a_payment_that_took_its_time_is_one_when_it_has_come() -> None:
    event = shapes.bundle_paid(BUNDLE, "pi_1", START) | {"type": "checkout.session.async_payment_succeeded"}
    assert translate(event) == PaymentMade("ann", "chk_1", "pi_1")


def test_a_completed_session_of_a_plan_says_only_which_subscription_it_is() -> None:
    assert translate(shapes.plan_checked_out(PLAN, "sub_1", START)) == billing()


def paid_line(event: shapes.Event, **changes: Any) -> PaidLine:
    """The first line of a paid invoice, as it is read."""
    about = event["data"]["object"]
    line = about["lines"]["data"][0]
    read = PaidLine(
        id=line["id"], invoice=about["id"], starts_at=START * 1000, ends_at=END * 1000, billed_at=START * 1000,
        amount=3000, gross=3000, price="price_1", named_plan="standard",
    )  # fmt: skip
    return replace(read, **changes)


@pytest.mark.parametrize("shape", [dict, shapes.before_basil])
@pytest.mark.parametrize("proration", [False, True])
def test_a_paid_invoice_says_what_was_paid_for_by_its_lines(shape: Shape, proration: bool) -> None:  # noqa: FBT001
    event = shapes.invoice(PLAN, "sub_1", START, END, proration=proration)
    assert translate(shape(event)) == billing(lines=(paid_line(event, proration=proration),))


def test_a_discount_is_no_money() -> None:
    event = shapes.invoice(
        PLAN, "sub_1", START, END, lines=[shapes.line(PLAN, "sub_1", START, END, 3000, discount=1200)]
    )
    assert translate(event) == billing(lines=(paid_line(event, amount=1800),))


def test_what_a_credit_note_took_off_before_the_payment_never_came() -> None:
    event = shapes.invoice(PLAN, "sub_1", START, END, pre_payment_credit_notes_amount=3000, amount_paid=0)
    assert translate(event) == billing(lines=(paid_line(event, amount=0),))


@pytest.mark.parametrize("changes", [{"amount_paid": 0, "starting_balance": -9000}, {"paid_out_of_band": True}])
def test_an_invoice_paid_from_a_credit_or_out_of_band_is_paid(changes: dict[str, Any]) -> None:
    event = shapes.invoice(PLAN, "sub_1", START, END, **changes)
    assert translate(event) == billing(lines=(paid_line(event),))


def test_another_currency_than_the_cards_is_said() -> None:
    event = shapes.invoice(PLAN, "sub_1", START, END, currency="eur")
    assert translate(event) == billing(lines=(paid_line(event, foreign=True),))


def test_a_whole_price_names_its_plan_by_its_own_metadata() -> None:
    event = shapes.before_basil(shapes.invoice(PLAN, "sub_1", START, END))
    event["data"]["object"]["lines"]["data"][0]["price"]["metadata"] = {"farebox_plan": "pro"}
    assert translate(event) == billing(lines=(paid_line(event, plan="pro"),))


@pytest.mark.parametrize("kind", ["invoice.voided", "invoice.marked_uncollectible"])
def test_an_invoice_that_was_given_up_is_noted_and_pays_nothing(kind: str) -> None:
    read = translate(shapes.invoice(PLAN, "sub_1", START, END, paid=False) | {"type": kind})
    assert isinstance(read, Billing)
    assert (read.lines, read.unpaid_through) == ((), END * 1000)


def test_a_line_of_another_thing_is_no_line_of_the_subscription() -> None:
    event = shapes.invoice(PLAN, "sub_1", START, END)
    event["data"]["object"]["lines"]["data"][0]["parent"] = {
        "type": "invoice_item_details", "invoice_item_details": {"invoice_item": "ii_1", "proration": False},
    }  # fmt: skip
    assert translate(event) is None


def test_a_failed_invoice_says_which_period_is_not_paid() -> None:
    event = shapes.invoice(PLAN, "sub_1", START, END, paid=False)
    invoice = event["data"]["object"]["id"]
    assert translate(event) == billing(unpaid_invoice=invoice, unpaid_through=END * 1000)


def seen(**changes: Any) -> Billing:
    read = translate(shapes.subscription_seen(PLAN, "sub_1", START, START + 60, **changes))
    assert isinstance(read, Billing)
    return read


def test_an_updated_subscription_says_its_plan_and_when_it_was_seen() -> None:
    assert seen() == billing(
        started_at=START * 1000, seen_at=(START + 60) * 1000, plan="standard", interval=Interval.MONTHLY,
        price="price_1", status="active",
    )  # fmt: skip


@pytest.mark.parametrize("status", ["trialing", "past_due", "unpaid", "incomplete", "incomplete_expired", "paused"])
def test_an_updated_subscription_says_its_status(status: str) -> None:
    assert seen(status=status).status == status


def test_a_subscription_whose_collection_is_paused_is_paused() -> None:
    assert seen(pause_collection={"behavior": "void", "resumes_at": None}).status == "paused"


def test_a_status_that_stripe_does_not_document_says_nothing() -> None:
    assert seen(status="new|word").status is None


@pytest.mark.parametrize(
    ("stripes", "ours"),
    [(("month", 1), "monthly"), (("month", 3), "quarterly"), (("year", 1), "yearly"), (("month", 12), "yearly")],
)
def test_the_interval_is_that_of_the_price(stripes: tuple[str, int], ours: str) -> None:
    assert seen(interval=stripes).interval == Interval(ours)


def test_an_interval_that_is_not_ours_is_none() -> None:
    assert (seen(interval=("week", 1)).plan, seen(interval=("week", 1)).interval) == ("standard", None)


def test_a_catalogue_price_of_the_customer_portal_names_its_plan_by_its_metadata() -> None:
    event = shapes.subscription_seen(PLAN, "sub_1", START, START + 60)
    event["data"]["object"]["items"]["data"][0]["price"]["metadata"] = {"farebox_plan": "ultimate"}
    read = translate(event)
    assert isinstance(read, Billing)
    assert read.plan == "ultimate"


def test_a_cancellation_at_the_end_of_the_period_says_when_that_is() -> None:
    assert seen(cancel_at_period_end=True, cancel_at=END).cancelled_to == END * 1000
    assert seen(cancel_at_period_end=True).cancelled_to == (START + 30 * shapes.DAY) * 1000
    assert seen(cancel_at_period_end=True, current_period_end=END).cancelled_to == END * 1000


def test_a_deleted_subscription_says_when_it_ended() -> None:
    event = shapes.subscription_seen(PLAN, "sub_1", START, END, kind="deleted", ended_at=END, canceled_at=START)
    assert translate(event) == billing(started_at=START * 1000, ended_at=END * 1000)


def test_a_refund_is_the_part_of_the_charge_that_went_back_so_far() -> None:
    assert translate(shapes.refunded(BUNDLE, "pi_1", 125, START)) == MoneyMoved(
        charge="ch_pi_1", payment_intent="pi_1", of="charge", at=START * 10, amount=125, currency="usd", whole=500,
        purchase=("ann", "chk_1"),
    )  # fmt: skip


def test_a_dispute_names_its_payment() -> None:
    assert translate(shapes.disputed(BUNDLE, "pi_1", START)) is None, "nothing has moved"
    said = translate(shapes.disputed(BUNDLE, "pi_1", START, word="funds_withdrawn"))
    assert said == MoneyMoved(
        charge="ch_pi_1", payment_intent="pi_1", of="dispute:dp_pi_1", at=START * 10 + 1, amount=500, currency="usd",
    )  # fmt: skip


def test_what_another_product_of_the_same_stripe_account_does_is_none_of_ours() -> None:
    events = [
        shapes.bundle_paid(BUNDLE, "pi_1", START),
        shapes.invoice(PLAN, "sub_1", START, END),
        shapes.invoice(PLAN, "sub_1", START, END, paid=False),
        shapes.subscription_seen(PLAN, "sub_1", START, END),
        shapes.subscription_seen(PLAN, "sub_1", START, END, kind="deleted", ended_at=END),
        shapes.refunded(BUNDLE, "pi_1", 500, START),
    ]
    for event in events:
        about = event["data"]["object"]
        about["metadata"] = {}
        if about.get("parent"):
            about["parent"]["subscription_details"]["metadata"] = {"shop": "other"}
        said = translate(event)
        assert said is None or (isinstance(said, MoneyMoved) and said.purchase is None), event["type"]


def test_an_event_of_a_kind_we_do_not_know_is_none_of_ours() -> None:
    assert translate(shapes.event_of("customer.created", {"id": "cus_1", "object": "customer"}, START)) is None
