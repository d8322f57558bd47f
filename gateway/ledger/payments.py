"""Purchases: a checkout's life, and what a payment provider says of subscriptions.

Each is applied once however often and in whatever order it comes, because what was said is remembered in the checkout
or in the account's billing record, not by an operation's id, which is forgotten after a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from gateway.domain import Interval
from gateway.ledger import outcomes as o
from gateway.ledger.core import LedgerCore, texts
from gateway.ledger.records import clean_reason, decode_account, decode_dispatches, pairs

RENEWAL_GRACE_MS = 24 * 3_600_000
"""How long a plan waits for its renewal's payment. Stripe charges about an hour after the period has begun; a day
leaves room for an event that has to be sent again. No credits come before the payment, and without it the plan lapses.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """One purchase. `what` is the bundle's or the plan's id; name, price and credits are those it began with.

    `interval` is None for a bundle, `millicredits` is what a bundle grants or a plan gives a month. `ref` is the
    provider's own id of the payment, or of the subscription. `taken_back_millicredits`: what was revoked of its grant.
    """

    id: str
    account: str
    kind: Literal["bundle", "plan"]
    what: str
    interval: Interval | None
    name: str
    millicredits: int
    price: Decimal
    currency: str
    provider: str
    status: Literal["open", "paid", "declined"]
    created_at: int
    ref: str | None = None
    grant: str | None = None
    taken_back_millicredits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """What one event of a payment provider says of a subscription; None: it says nothing of it. Times in milliseconds.

    `started_at`: the start of the subscription, or of a later period. `paid_through`: the end of a period that is paid.
    `seen_at`: when it had this `plan`, `interval` and `cancelled_to`. `ended_at`: when it ended for good.
    `unpaid_through`: the end of a period whose payment failed.
    """

    account: str
    checkout: str
    subscription: str
    started_at: int | None = None
    paid_through: int | None = None
    seen_at: int | None = None
    plan: str | None = None
    interval: Interval | None = None
    cancelled_to: int | None = None
    ended_at: int | None = None
    unpaid_through: int | None = None


@dataclass(frozen=True, slots=True)
class Paid:
    """The purchase is paid. `now` is False if it had been before."""

    checkout: Checkout
    now: bool
    account: o.Account
    promoted: tuple[o.Dispatch, ...]


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What was left of the purchase's grant is gone. `now` is False if nothing new was said."""

    checkout: Checkout
    now: bool
    account: o.Account


@dataclass(frozen=True, slots=True)
class Billed:
    """The account is as the provider says. `superseded`: subscriptions that the provider should renew no more."""

    account: o.Account
    promoted: tuple[o.Dispatch, ...]
    superseded: tuple[str, ...]


class PaymentOperations(LedgerCore):
    """One method per script that moves a purchase."""

    async def check_out(
        self,
        *,
        account: str,
        checkout: str,
        keys_version: int | None,
        kind: Literal["bundle", "plan"],
        what: str,
        interval: Interval | None,
        name: str,
        millicredits: int,
        price: Decimal,
        currency: str,
        provider: str,
        live: bool,
    ) -> o.NotFound | o.KeysChanged | o.Refused | Checkout:
        """Begin a purchase; the same id answers with the purchase that was begun.

        Refused, in this order: `test_account` (R22), `subscription_required` (R4), `unknown_plan`,
        `already_subscribed`.
        """
        word, rest = await self.run(
            "check_out",
            self.account_key(account),
            checkout,
            "" if keys_version is None else keys_version,
            kind,
            what,
            interval or "",
            clean_reason(name),
            millicredits,
            str(price),
            currency,
            provider,
            int(live),
        )
        match word:
            case "checkout":
                return _checkout(account, rest[0])
            case "refused":
                return o.Refused(rest[0].decode())
            case "keys_changed":
                return o.KeysChanged()
            case _:
                return o.NotFound()

    async def checkout(self, *, account: str, checkout: str) -> o.NotFound | Checkout:
        """A purchase as it is."""
        word, rest = await self.run("checkout", self.account_key(account), checkout)
        return _checkout(account, rest[0]) if word == "checkout" else o.NotFound()

    async def decline(self, *, account: str, checkout: str) -> o.NotFound | Checkout:
        """Nothing was paid: the purchase is over. One that is paid stays so."""
        word, rest = await self.run("decline", self.account_key(account), checkout)
        return _checkout(account, rest[0]) if word == "checkout" else o.NotFound()

    async def pay(self, *, account: str, checkout: str, ref: str) -> o.NotFound | Checkout | Paid:
        """Grant the bundle or start the plan, once. A Checkout: it had been declined, and nothing was done."""
        word, rest = await self.run("pay", self.account_key(account), checkout, ref, self.dispatch_ms)
        match word:
            case "paid":
                now, record, view, promoted = rest
                return Paid(
                    _checkout(account, record), now == b"1", decode_account(account, view), decode_dispatches(promoted)
                )
            case "declined":
                return _checkout(account, rest[0])
            case _:
                return o.NotFound()

    async def take_back(self, *, account: str, checkout: str, part: Fraction) -> o.NotFound | TakenBack:
        """Take back what is left of the bundle's own grant: up to `part` of it, all that went back so far together."""
        word, rest = await self.run("take_back", self.account_key(account), checkout, part.numerator, part.denominator)
        if word != "taken_back":
            return o.NotFound()
        now, record, view = rest
        return TakenBack(_checkout(account, record), now == b"1", decode_account(account, view))

    async def bill(self, facts: Billing) -> o.NotFound | Billed:
        """Merge what a provider says of a subscription, and bring the account to what follows from all it said."""
        told = (
            facts.started_at, facts.paid_through, facts.seen_at, facts.plan, facts.interval, facts.cancelled_to,
            facts.ended_at, facts.unpaid_through,
        )  # fmt: skip
        word, rest = await self.run(
            "bill",
            self.account_key(facts.account),
            facts.subscription,
            facts.checkout,
            *("" if fact is None else fact for fact in told),
            RENEWAL_GRACE_MS,
            self.dispatch_ms,
        )
        if word != "billed":
            return o.NotFound()
        view, promoted, superseded = rest
        return Billed(decode_account(facts.account, view), decode_dispatches(promoted), texts(superseded))


def _checkout(account: str, record: Sequence[bytes | Sequence[bytes]]) -> Checkout:
    identifier, flat = record
    fields = pairs(flat)  # type: ignore[arg-type]  # the record is (id, fields by pairs)
    return Checkout(
        id=identifier.decode(),  # type: ignore[union-attr]
        account=account,
        kind="bundle" if fields["kind"] == "bundle" else "plan",
        what=fields["what"],
        interval=Interval(fields["interval"]) if fields["interval"] else None,
        name=fields["name"],
        millicredits=int(fields["credits"]),
        price=Decimal(fields["price"]),
        currency=fields["currency"],
        provider=fields["provider"],
        status=fields["status"],  # type: ignore[arg-type]  # the scripts write no other word
        created_at=int(fields["created_at"]),
        ref=fields.get("ref"),
        grant=fields.get("grant"),
        taken_back_millicredits=int(fields.get("taken", 0)),
    )
