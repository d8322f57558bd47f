"""Purchases: a checkout's life, and what a payment provider says of subscriptions.

Each is applied once however often and in whatever order it comes, because what was said is remembered in the checkout
or in the account's billing record, not by an operation's id, which is forgotten after a day.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from gateway.domain import Interval
from gateway.ledger import outcomes
from gateway.ledger.core import LedgerCore, texts
from gateway.ledger.generation_records import decode_dispatches
from gateway.ledger.records import clean_reason, decode_account, pairs

RENEWAL_GRACE_MS = 24 * 3_600_000
"""How long a plan waits for its renewal's payment. Stripe charges about an hour after the period has begun; a day
leaves room for an event that has to be sent again. No credits come before the payment, and without it the plan lapses.
"""

_WHOLE_MAX = 90_000_000
"""What parts of a payment may be counted in (in Lua: `lib/returns.lua`): Stripe takes no more than 99,999,999 cents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """One purchase. `what` is the bundle's or the plan's id; name, price and credits are those it began with.

    `interval` is None for a bundle, `millicredits` is what a bundle grants or a plan gives a month. `ref` is the
    provider's own id of the payment, or of the subscription. `due_millicredits`: of a bundle, the share whose money
    went back; `taken_back_millicredits`: what was revoked of its grant, or is owed. `success_url` and `cancel_url`:
    where its customer goes afterwards, None: to the gateway's own page.
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
    status: Literal["open", "paid", "declined", "expired", "failed"]
    created_at: int
    paid_at: int | None = None
    ref: str | None = None
    grant: str | None = None
    due_millicredits: int = 0
    taken_back_millicredits: int = 0
    customer: str | None = None
    success_url: str | None = None
    cancel_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidLine:
    """One line of a paid invoice. Times in milliseconds, money in the currency's smallest unit.

    `amount`: what was paid for it, after discounts; below zero: what the provider gives back. `gross`: before them.
    `proration`: a correction for a part of a period, as a change of plan makes it. `foreign`: not in the rate card's
    currency. `price`, `plan`: the price's id, and the plan that this price itself names; `named_plan`: the plan that
    the line names otherwise, which a change of plan does not touch. `billed_at`: when the invoice was made.
    """

    id: str
    invoice: str
    starts_at: int
    ends_at: int
    billed_at: int
    amount: int
    gross: int
    proration: bool = False
    foreign: bool = False
    price: str | None = None
    plan: str | None = None
    named_plan: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """Of the money of an invoice, `amount` of `of` went back by this `source`: `refund`, or one dispute's id.

    `amount` is all that went back by the source so far; the latest word counts (`at`, milliseconds), so that a dispute
    that was won says 0. Sources add up.
    """

    invoice: str
    source: str
    amount: int
    of: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """What one event of a payment provider says of a subscription; None: it says nothing of it. Times in milliseconds.

    `lines`: of a paid invoice; credits come with these and with nothing else. `returned`: what of invoices went back.
    `seen_at`: when it had this `plan`, `interval`, `price`, `status` and `cancelled_to`. `ended_at`: when it ended for
    good. `unpaid_invoice`: one that was not paid; `unpaid_through`: the end of what it is for; `unpaid_because`: why.
    `customer`: whom the provider takes the money from.
    """

    account: str
    checkout: str
    subscription: str
    started_at: int | None = None
    lines: tuple[PaidLine, ...] = ()
    returned: tuple[Returned, ...] = ()
    seen_at: int | None = None
    plan: str | None = None
    interval: Interval | None = None
    price: str | None = None
    status: str | None = None
    cancelled_to: int | None = None
    ended_at: int | None = None
    unpaid_invoice: str | None = None
    unpaid_through: int | None = None
    unpaid_because: str = "a payment failed"
    customer: str | None = None


@dataclass(frozen=True, slots=True)
class Paid:
    """The purchase is paid. `now` is False if it had been before."""

    checkout: Checkout
    now: bool
    account: outcomes.Account
    promoted: tuple[outcomes.Dispatch, ...]


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The purchase's grant is what its money covers. `now` is False if that was so before."""

    checkout: Checkout
    now: bool
    account: outcomes.Account


@dataclass(frozen=True, slots=True)
class Billed:
    """The account is as the provider says. `superseded`: subscriptions that the provider should renew no more.

    `unknown_plans`: plans that were paid for and that no rate card has had; what was paid is kept, and gives its
    credits with the next event after a card has them.
    """

    account: outcomes.Account
    promoted: tuple[outcomes.Dispatch, ...]
    superseded: tuple[str, ...]
    unknown_plans: tuple[str, ...] = ()


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
        success_url: str | None = None,
        cancel_url: str | None = None,
    ) -> outcomes.NotFound | outcomes.KeysChanged | outcomes.Refused | Checkout:
        """Begin a purchase; the same id answers with the purchase that was begun.

        Refused, in this order: `test_account` (R22), `subscription_required` (R4), `unknown_plan`,
        `already_subscribed`.
        """
        word, rest = await self.run(
            "check_out",
            self.account_key(account),
            checkout=checkout,
            keys_version=keys_version,
            kind=kind,
            what=what,
            interval=interval,
            name=clean_reason(name),
            credits=millicredits,
            price=str(price),
            currency=currency,
            provider=provider,
            real_money=live,
            success_url=success_url,
            cancel_url=cancel_url,
        )
        match word:
            case "checkout":
                return decode_checkout(account, rest[0])
            case "refused":
                return outcomes.Refused(rest[0].decode())
            case "keys_changed":
                return outcomes.KeysChanged()
            case _:
                return outcomes.NotFound()

    async def set_customer(
        self, *, account: str, customer: str, checkout: str | None = None, replace: bool = False
    ) -> str | None:
        """Remember the provider's customer that an account is; the first stays unless `replace`. None: no such account.

        `checkout` is begun with the one that is remembered.
        """
        key = self.account_key(account)
        word, rest = await self.run("set_customer", key, checkout=checkout, customer=customer, replace=replace)
        return str(rest[0].decode()) if word == "customer" else None

    async def checkout(self, *, account: str, checkout: str) -> outcomes.NotFound | Checkout:
        """A purchase as it is."""
        word, rest = await self.run("checkout", self.account_key(account), checkout=checkout)
        return decode_checkout(account, rest[0]) if word == "checkout" else outcomes.NotFound()

    async def decline(
        self, *, account: str, checkout: str, because: Literal["declined", "expired", "failed"] = "declined"
    ) -> outcomes.NotFound | Checkout:
        """Nothing was paid: the purchase is over. One that is paid stays so, or becomes so unless it was declined."""
        word, rest = await self.run("decline", self.account_key(account), checkout=checkout, status=because)
        return decode_checkout(account, rest[0]) if word == "checkout" else outcomes.NotFound()

    async def pay(self, *, account: str, checkout: str, ref: str) -> outcomes.NotFound | Checkout | Paid:
        """Grant the bundle or start the plan, once. A Checkout: it had been declined, and nothing was done."""
        key = self.account_key(account)
        word, rest = await self.run("pay", key, checkout=checkout, ref=ref, dispatch_ms=self.dispatch_ms)
        match word:
            case "paid":
                now, record, view, promoted = rest
                said, after = decode_checkout(account, record), decode_account(account, view)
                return self.moved(Paid(said, now == b"1", after, decode_dispatches(promoted)))
            case "declined":
                return decode_checkout(account, rest[0])
            case _:
                return outcomes.NotFound()

    async def take_back(
        self, *, account: str, checkout: str, part: Fraction, of: str = "charge", at: int = 0, made: int | None = None
    ) -> outcomes.NotFound | outcomes.Refused | TakenBack:
        """Say how much of the money for a bundle is out by one refund or dispute; its own grant follows (R33).

        `of`: `charge` (all refunds together), `refund:<id>` or `dispute:<id>`; of each the word of the latest `at`
        counts. With `made`, the refund that was made then has bounced, and `part` is what came back. Refused:
        `too_many_returns`.
        """
        part = min(max(part, Fraction(0)), Fraction(1)).limit_denominator(_WHOLE_MAX)
        word, rest = await self.run(
            "take_back",
            self.account_key(account),
            checkout=checkout,
            what=of,
            at=at,
            part=part.numerator,
            whole=part.denominator,
            made_at=made,
        )
        match word:
            case "taken_back":
                now, record, view = rest
                return self.moved(
                    TakenBack(decode_checkout(account, record), now == b"1", decode_account(account, view))
                )
            case "refused":
                return outcomes.Refused(rest[0].decode())
            case _:
                return outcomes.NotFound()

    async def bill(self, facts: Billing) -> outcomes.NotFound | outcomes.Refused | Billed:
        """Merge what a provider says of a subscription, and bring the account to what follows from all it said.

        Refused: `too_many_lines`, more than 500 of the last 400 days; nothing of it was kept.
        """
        word, rest = await self.run(
            "bill",
            self.account_key(facts.account),
            subscription=facts.subscription,
            checkout=facts.checkout,
            said=json.dumps(_said(facts), separators=(",", ":")),
            grace_ms=RENEWAL_GRACE_MS,
            dispatch_ms=self.dispatch_ms,
        )
        if word == "refused":
            return outcomes.Refused(rest[0].decode())
        if word != "billed":
            return outcomes.NotFound()
        view, promoted, superseded, unknown = rest
        account = decode_account(facts.account, view)
        return self.moved(
            Billed(account, decode_dispatches(promoted), texts(superseded), tuple(sorted(texts(unknown))))
        )


def _said(facts: Billing) -> dict[str, Any]:
    """What is said, in the script's words; what is not said is left out."""
    seen = facts.seen_at is not None
    return _without_none(
        {
            "started": facts.started_at,
            "ended": facts.ended_at,
            "lines": [_line(line) for line in facts.lines],
            "returned": [
                {"invoice": one.invoice, "source": one.source, "part": one.amount, "whole": one.of, "at": one.at}
                for one in facts.returned
            ],
            "seen": facts.seen_at,
            "plan": facts.plan if seen else None,
            "interval": facts.interval if seen else None,
            "price": facts.price,
            "status": facts.status,
            "cancelled_to": facts.cancelled_to,
            "unpaid_invoice": facts.unpaid_invoice,
            "unpaid_through": facts.unpaid_through,
            "unpaid_because": clean_reason(facts.unpaid_because),
        }
    )


def _line(line: PaidLine) -> dict[str, Any]:
    return _without_none(
        {
            "id": line.id,
            "invoice": line.invoice,
            "from": line.starts_at,
            "to": line.ends_at,
            "billed": line.billed_at,
            "amount": line.amount,
            "gross": line.gross,
            "proration": line.proration or None,
            "foreign": line.foreign or None,
            "price": line.price,
            "plan": line.plan,
            "named": line.named_plan,
        }
    )


def _without_none(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value is not None}


def decode_checkout(account: str, record: Sequence[bytes | Sequence[bytes]]) -> Checkout:
    """A purchase as `checkouts.reply` replies it."""
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
        paid_at=int(fields["paid_at"]) if "paid_at" in fields else None,
        ref=fields.get("ref"),
        grant=fields.get("grant"),
        due_millicredits=int(fields.get("due", 0)),
        taken_back_millicredits=int(fields.get("taken", 0)),
        customer=fields.get("customer"),
        success_url=fields.get("success_url"),
        cancel_url=fields.get("cancel_url"),
    )
