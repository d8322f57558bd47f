"""The webhook is open to everyone: whatever comes is taken, refused with 400, or left; never a 500, never a credit."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.visitor import Visitor
from tests.lengths import LONG
from tests.payments import stripe_shapes as shapes
from tests.payments.shop import read_checkout

WEBHOOK = "/v1/payments/stripe/webhook"
FUZZ = settings(
    max_examples=200 if LONG else 40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@dataclass(frozen=True)
class Sold:
    """A gateway that sells by Stripe, and every kind of event about what was sold."""

    gateway: Visitor
    events: list[shapes.Event]


@pytest.fixture
async def sold(selling: Visitor) -> Sold:
    """A bundle and a plan that one account has begun to buy."""
    key = await selling.account()
    asked = ("/v1/subscriptions", {"plan": "standard", "interval": "monthly"}), ("/v1/top-ups", {"bundle": "small"})
    checkouts = []
    for path, body in asked:
        begun = await selling.call("POST", path, key, body)
        assert begun.status == 201, begun.raw
        checkouts.append(await read_checkout(selling.ledger, "acme", begun.body["id"]))
        await selling.subscribe()
    plan, bundle = checkouts
    now = bundle.created_at // 1000
    return Sold(
        selling,
        [
            shapes.bundle_paid(bundle, "pi_1", now),
            shapes.refunded(bundle, "pi_1", 500, now),
            shapes.disputed(bundle, "pi_1", now),
            shapes.plan_checked_out(plan, "sub_1", now),
            shapes.invoice(plan, "sub_1", now, now + 30 * shapes.DAY),
            shapes.before_basil(shapes.invoice(plan, "sub_1", now, now + 30 * shapes.DAY)),
            shapes.invoice(plan, "sub_1", now, now + 30 * shapes.DAY, paid=False),
            shapes.subscription_seen(plan, "sub_1", now, now),
            shapes.subscription_seen(plan, "sub_1", now, now, kind="deleted", ended_at=now),
        ],
    )


@FUZZ
@given(
    body=st.binary(max_size=300) | VALUES.map(json.dumps).map(str.encode),
    header=st.none() | st.text("t=v10,9ab ", max_size=60),
)
async def test_what_stripe_did_not_sign_is_400(selling: Visitor, body: bytes, header: str | None) -> None:
    headers = {} if header is None else {"Stripe-Signature": header}
    refused = await selling.call("POST", WEBHOOK, headers=headers, raw=body)
    assert (refused.status, refused.code) == (400, "invalid_request")


@FUZZ
@given(data=st.data())
async def test_a_signed_event_of_any_shape_is_taken_or_refused(sold: Sold, data: st.DataObject) -> None:
    """Stripe's next API version, or an account's own: a member that is not there was a 500."""
    event = copy.deepcopy(data.draw(st.sampled_from(sold.events)))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(list(_places(event))))
        if data.draw(st.booleans()):
            holder[key] = data.draw(VALUES)
        else:
            del holder[key]
    body = json.dumps(event)
    header = stripe.WebhookSignature.generate_signature_header(body, shapes.SECRET)
    answered = await sold.gateway.call("POST", WEBHOOK, headers={"Stripe-Signature": header}, raw=body.encode())
    assert answered.status in {200, 400}, answered.raw


def _places(thing: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of an event, as what holds it and its key there."""
    for key, value in list(thing.items() if isinstance(thing, dict) else enumerate(thing)):
        yield thing, key
        if isinstance(value, dict | list):
            yield from _places(value)
