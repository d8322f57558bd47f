"""What a payment provider is: it takes the money for a purchase, and says what happened to it.

It knows nothing of credits. What it says is translated into the three kinds of events below; `gateway.payments.apply`
brings them into the ledger, each once, however often and in whatever order they come.
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
    """Where the customer pays, and the provider's own id of it."""

    url: str
    ref: str


@dataclass(frozen=True, slots=True)
class PaymentMade:
    """A purchase is paid. `ref` is the provider's own id of the payment."""

    account: str
    checkout: str
    ref: str
    customer: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentEnded:
    """A purchase will not be paid on its page any more: `because` it expired, or the payment failed for good."""

    account: str
    checkout: str
    because: Literal["expired", "failed"]


@dataclass(frozen=True, slots=True)
class Amount:
    """Money in its smallest unit, where only the purchase knows how much all of it was."""

    minor_units: int
    currency: str


def minor_units(price: Decimal) -> int:
    """A price in cents; exact, because the rate card takes no more than two decimals."""
    cents = price * 100
    if cents != cents.to_integral_value():
        raise ValueError(f"{price} has more than two decimals")
    return int(cents)


@dataclass(frozen=True, slots=True)
class PaymentReturned:
    """How much of the money for a bundle is out by one refund or dispute, when that was said (R33).

    `of`: `charge` (all refunds together), `refund:<id>` or `dispute:<id>`. Of each the word of the latest `at` counts.
    With `made`, the refund that was made then has bounced, and `part` is what came back.
    """

    account: str
    checkout: str
    part: Fraction | Amount
    of: str = "charge"
    at: int = 0
    made: int | None = None


PaymentEvent = PaymentMade | PaymentEnded | PaymentReturned | Billing
"""What a provider may say; `Billing` is what it says of a subscription that it renews."""


class PaymentProvider(Protocol):
    """One way to pay. `live` says that it takes real money, which a test account never gives (R22)."""

    @property
    def name(self) -> str:
        """Its name in settings, checkouts and logs."""

    @property
    def live(self) -> bool:
        """Whether it takes real money."""

    async def customer(self, account: str, email: str | None) -> str | None:
        """The provider's own customer for an account, made now; None if it has none to give.

        PaymentsUnavailable if nobody answers.
        """

    async def checkout(self, order: Checkout, email: str | None = None) -> CheckoutStarted:
        """Begin to take the money: the same order gives the same page. PaymentsUnavailable if nobody answers.

        `email` is whom the page is for, if the order names no customer.
        """

    def signed(self, body: bytes, headers: Mapping[str, str]) -> Any:
        """The event that a webhook's request carries, as JSON; EventRefused if the provider did not sign it."""

    async def read(self, event: Any) -> PaymentEvent | None:
        """What an event says; None: nothing for us.

        EventNotUnderstood if it has not the shape that it should, EventNotApplicable if what it says cannot be known,
        PaymentsUnavailable if the provider has to be asked and does not answer.
        """

    async def renew(self, subscription: str, *, renews: bool) -> None:
        """Stop renewing a subscription at the end of what is paid, or go on after all; an event says what came of it.

        PaymentsUnavailable if nobody answers.
        """

    async def end(self, subscription: str) -> None:
        """Renew a subscription no more, from now on. One that has ended is left as it is."""

    async def close(self) -> None:
        """Close every connection."""
