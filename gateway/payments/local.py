"""One-click payments for tests: a page of the gateway, marked as a test, that pays or declines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.errors import EventRefused
from gateway.ledger.payments import Checkout
from gateway.payments.base import CheckoutStarted, PaymentEvent
from gateway.payments.links import CheckoutLinks


class LocalPayments:
    """Takes no money. The page is `gateway.payments.page`; its buttons are `gateway.api.handlers.payments`."""

    name = "local"
    live = False

    def __init__(self, links: CheckoutLinks) -> None:
        self._links = links

    async def customer(self, account: str, email: str | None) -> str | None:  # noqa: ARG002
        """There are no customers."""
        return None

    async def checkout(self, order: Checkout, email: str | None = None) -> CheckoutStarted:  # noqa: ARG002
        """The gateway's own page."""
        return CheckoutStarted(self._links.url(order), order.id)

    def signed(self, body: bytes, headers: Mapping[str, str]) -> Any:  # noqa: ARG002
        """There are no provider events: the page itself pays."""
        raise EventRefused("test payments have no provider events")

    async def read(self, event: Any) -> PaymentEvent | None:  # noqa: ARG002
        """There are no events."""
        return None

    async def renew(self, subscription: str, *, renews: bool) -> None:
        """Nothing is renewed here."""

    async def end(self, subscription: str) -> None:
        """Nothing is renewed here."""

    async def close(self) -> None:
        """Nothing is open."""
