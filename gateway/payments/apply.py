"""What a payment provider said, brought into the ledger: each once, however often and in whatever order it comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from gateway.ledger import outcomes as o
from gateway.ledger.ledger import Ledger
from gateway.ledger.payments import Billing, Checkout
from gateway.payments.base import PaymentEvent, PaymentMade, PaymentProvider, PaymentReturned

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Followed:
    """What follows for the gateway: generations to dispatch."""

    account: str
    promoted: Sequence[o.Dispatch] = ()


async def apply(event: PaymentEvent, ledger: Ledger, provider: PaymentProvider) -> Followed | None:
    """Bring an event into the ledger; None if it is about a purchase that this ledger does not know.

    A subscription that a newer purchase has taken the place of is ended at the provider, so that nobody pays for two.
    PaymentsUnavailable then asks for the event to be sent again.
    """
    followed = await _apply(event, ledger, provider)
    if followed is None:
        # Another ledger's, or of more than 400 days ago: an operator has to look.
        log.error("payment_event_of_unknown_checkout", account=event.account, checkout=event.checkout)
    return followed


async def _apply(event: PaymentEvent, ledger: Ledger, provider: PaymentProvider) -> Followed | None:
    match event:
        case PaymentMade():
            paid = await ledger.pay(account=event.account, checkout=event.checkout, ref=event.ref)
            if isinstance(paid, o.NotFound):
                return None
            if isinstance(paid, Checkout):
                log.error("declined_checkout_was_paid", account=event.account, checkout=event.checkout, ref=event.ref)
                return Followed(event.account)
            return Followed(event.account, paid.promoted)
        case PaymentReturned():
            back = await ledger.take_back(account=event.account, checkout=event.checkout, part=event.part)
            return None if isinstance(back, o.NotFound) else Followed(event.account)
        case Billing():
            billed = await ledger.bill(event)
            if isinstance(billed, o.NotFound):
                return None
            for subscription in billed.superseded:
                await provider.end(subscription)
            return Followed(event.account, billed.promoted)
