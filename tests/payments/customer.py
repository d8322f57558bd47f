"""A customer of Stripe's: what Stripe sends as a subscription is paid for, changed, paused and ended.

Prorations are made as Stripe makes them: by the second, and rounded to the cent. Each method answers with its events,
in the order they happen; a test sends them in any.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from gateway.ledger.payments import Checkout
from tests.payments import stripe_shapes as shapes
from tests.payments.shop import PRICES

Events = list[shapes.Event]


@dataclass
class Customer:
    """A monthly subscription; `start` and `end` are the current period's, in seconds."""

    checkout: Checkout
    subscription: str
    begun: int
    start: int
    end: int
    plan: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    """What the subscription is beside its plan: `status`, `cancel_at`, …"""

    def __post_init__(self) -> None:
        self.plan = self.plan or self.checkout.what

    def seen(self, at: int, **changes: Any) -> Events:
        """`customer.subscription.updated`."""
        told = {"plan": self.plan, **self.changes, **changes}
        return [shapes.subscription_seen(self.checkout, self.subscription, self.begun, at, **told)]

    def period(self, *, paid: bool = True, **more: Any) -> Events:
        """The invoice of the current period."""
        lines = [self._line(self.start, self.end, _cents(self.plan), self.plan)]
        return [self._invoice(lines, self.start, paid=paid, **more)]

    def renew(self, *, paid: bool = True, seconds: int | None = None, **more: Any) -> Events:
        """The next period, as long as this one."""
        self.start, self.end = self.end, self.end + (self.end - self.start if seconds is None else seconds)
        return [*self.seen(self.start, **more), *self.period(paid=paid)]

    def switch(self, plan: str, at: int, *, paid: bool = True, status: str | None = None, seen: int = 0) -> Events:
        """To another plan in the portal, its proration invoiced at once; a failed payment leaves it past due."""
        lines = self.prorations(plan, at)
        self.plan = plan
        status = status or ("active" if paid else "past_due")
        return [*self.seen(at + seen, status=status), self._invoice(lines, at, paid=paid)]

    def prorations(self, plan: str, at: int) -> list[shapes.Event]:
        """The two lines of a change of plan: what was not used of the old one, and the rest of the new one."""
        part = Decimal(self.end - at) / (self.end - self.start)
        old, new = (_rounded(_cents(name) * part) for name in (self.plan, plan))
        return [
            self._line(at, self.end, -old, self.plan, proration=True),
            self._line(at, self.end, new, plan, proration=True),
        ]

    def invoiced(self, lines: list[shapes.Event], at: int, **more: Any) -> Events:
        """An invoice of these lines."""
        return [self._invoice(lines, at, **more)]

    def restart(self, at: int, seconds: int) -> Events:
        """`billing_cycle_anchor=now`: what was not used goes back, and a whole period begins."""
        back = self.prorations(self.plan, at)[0]
        self.start, self.end = at, at + seconds
        whole = self._line(self.start, self.end, _cents(self.plan), self.plan)
        return [*self.seen(at), self._invoice([back, whole], at)]

    def end_at(self, at: int) -> Events:
        """`customer.subscription.deleted`."""
        told: dict[str, Any] = {"kind": "deleted", "ended_at": at, "plan": self.plan}
        return [shapes.subscription_seen(self.checkout, self.subscription, self.begun, at, **told)]

    def _line(self, start: int, end: int, cents: int, plan: str, **more: Any) -> shapes.Event:
        return shapes.line(self.checkout, self.subscription, start, end, cents, plan=plan, **more)

    def _invoice(self, lines: list[shapes.Event], at: int, **more: Any) -> shapes.Event:
        return shapes.invoice(self.checkout, self.subscription, at, self.end, lines=lines, billed=at, **more)


def _cents(plan: str) -> int:
    return int(PRICES[plan] * 100)


def _rounded(cents: Decimal) -> int:
    return int(cents.quantize(Decimal(1), ROUND_HALF_UP))
