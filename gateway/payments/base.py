"""The interface of a payment provider: it collects the money for a purchase, and reports what happened to it.

It knows nothing about credits. Its reports are translated into the events below; `gateway.payments.apply` applies them
to the ledger, each once, however often and in whatever order they arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, Protocol

from gateway.ledger.payments import Billing, Checkout


@dataclass(frozen=True, slots=True)
class CheckoutStarted:
    """The URL where the customer pays, and the provider's id of the checkout."""

    url: str
    ref: str


@dataclass(frozen=True, slots=True)
class PaymentMade:
    """A purchase is paid. `ref` is the provider's id of the payment."""

    account: str
    checkout: str
    ref: str
    customer: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentEnded:
    """A purchase can no longer be paid on its page: it expired, or the payment finally failed (`because`)."""

    account: str
    checkout: str
    because: Literal["expired", "failed"]


@dataclass(frozen=True, slots=True)
class Amount:
    """Money in its smallest unit, for events that do not contain the total that was paid."""

    minor_units: int
    currency: str


def minor_units(price: Decimal) -> int:
    """A price in cents; exact, because the rate card allows at most two decimals."""
    cents = price * 100
    if cents != cents.to_integral_value():
        raise ValueError(f"{price} has more than two decimals")
    return int(cents)


@dataclass(frozen=True, slots=True)
class PaymentReturned:
    """How much of the money for a bundle one refund or dispute has returned, and when that was reported (R33).

    `of`: `charge` (all refunds together), `refund:<id>` or `dispute:<id>`; for each, the latest `at` counts. With
    `made`, the refund made at that time has failed, and `part` is what came back.
    """

    account: str
    checkout: str
    part: Fraction | Amount
    of: str = "charge"
    at: int = 0
    made: int | None = None


PaymentEvent = PaymentMade | PaymentEnded | PaymentReturned | Billing
"""The events of a provider; `Billing` is its report on a subscription that it renews."""


class PaymentProvider(Protocol):
    """One payment provider. `live`: it takes real money, so test accounts cannot use it (R22)."""

    @property
    def name(self) -> str:
        """Its name in settings, checkouts and logs."""

    @property
    def live(self) -> bool:
        """Whether it takes real money."""

    async def customer(self, account: str, email: str | None) -> str | None:
        """Create the provider's customer for an account; None if it cannot create one.

        PaymentsUnavailable if the provider does not respond.
        """

    async def checkout(self, order: Checkout, email: str | None = None) -> CheckoutStarted:
        """Start the payment: the same order gives the same page. PaymentsUnavailable if the provider does not respond.

        `email` is the customer's, if the order names no customer.
        """

    def signed(self, body: bytes, headers: Mapping[str, str]) -> Any:
        """The event that a webhook's request carries, as JSON; EventRefused if the provider did not sign it."""

    async def read(self, event: Any) -> PaymentEvent | None:
        """The meaning of an event; None: it is not for us.

        EventNotUnderstood if it is not in the documented form, EventNotApplicable if something needed cannot be found
        out, PaymentsUnavailable if the provider has to be asked and does not respond.
        """

    async def renew(self, subscription: str, *, renews: bool) -> None:
        """Cancel a subscription at the end of the paid period, or undo that; an event confirms it.

        PaymentsUnavailable if the provider does not respond.
        """

    async def end(self, subscription: str) -> None:
        """Cancel a subscription now. One that has ended is left as it is."""

    async def close(self) -> None:
        """Close every connection."""
