"""Purchases: a checkout's life, and a payment provider's events about subscriptions.

Events are applied once, in any order and with any repetition: what they reported is kept in the checkout or the
account's billing record, not under an operation id, which expires after a day.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from gateway.domain import Interval
from gateway.ledger import keys, outcomes
from gateway.ledger.core import LedgerCore, texts
from gateway.ledger.generation_records import decode_dispatches
from gateway.ledger.records import clean_reason, decode_account, pairs

RENEWAL_GRACE_MS = 24 * 3_600_000
"""How long a plan waits for the payment of its renewal. Stripe charges about an hour after the period has begun; a day
leaves time for an event to be resent. No credits are granted before the payment; without it the plan lapses.
"""

_OWNER_KEPT_MS = 400 * 86_400_000  # as long as a purchase that is not paid

_WHOLE_MAX = 90_000_000
"""The largest amount of a payment, in cents (in Lua: `lib/returns.lua`). Stripe's limit is 99,999,999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """One purchase. `what` is the bundle's or plan's id; name, price and credits are fixed when it is started.

    `interval` is None for a bundle; `millicredits` is what a bundle grants, or a plan per month. `ref` is the
    provider's id of the payment or subscription. `due_millicredits`: for a bundle, the credits whose payment was
    refunded; `taken_back_millicredits`: what was revoked of its grant, or is owed. `success_url` and `cancel_url`:
    where its customer is sent afterwards; None: to the gateway's own page.
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

    `amount`: what was paid for it, after discounts; negative: what the provider credits. `gross`: before discounts.
    `proration`: a correction for a part of a period, from a change of plan. `foreign`: not in the rate card's currency.
    `price`, `plan`: the price's id, and the plan that this price itself names; `named_plan`: the plan that the line
    names otherwise, which a change of plan does not update. `billed_at`: when the invoice was created.
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
    """Of an invoice's total `of`, `amount` was returned through `source`: `refund`, or one dispute's id.

    `amount` is the total returned through this source so far; the latest report counts (`at`, milliseconds), so a won
    dispute reports 0. Sources add up.
    """

    invoice: str
    source: str
    amount: int
    of: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """What one payment provider event reports about a subscription; None: not reported. Times in milliseconds.

    `lines`: those of a paid invoice, the only source of credits. `returned`: refunds and disputes of invoices.
    `seen_at`: when it had this `plan`, `interval`, `price`, `status` and `cancelled_to`. `ended_at`: when it ended for
    good. `unpaid_invoice`: one that was not paid; `unpaid_through`: the end of its period; `unpaid_because`: the
    reason. `customer`: the provider's customer who pays.
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
    """The purchase is paid. `now` is False if it was already."""

    checkout: Checkout
    now: bool
    account: outcomes.Account
    promoted: tuple[outcomes.Dispatch, ...]


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The purchase's grant matches what is paid. `now` is False if it did already."""

    checkout: Checkout
    now: bool
    account: outcomes.Account


@dataclass(frozen=True, slots=True)
class Billed:
    """The account matches the provider's reports. `superseded`: subscriptions that the provider should stop renewing.

    `unknown_plans`: paid plans that no rate card has had. The payments are kept; their credits are granted with the
    next event after a card has these plans.
    """

    account: outcomes.Account
    promoted: tuple[outcomes.Dispatch, ...]
    superseded: tuple[str, ...]
    unknown_plans: tuple[str, ...] = ()


class PaymentOperations(LedgerCore):
    """One method per script that changes a purchase."""

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
        """Start a purchase; repeating an id returns the purchase it started.

        Refused, in this order: `test_account` (R22), `subscription_required` (R4), `unknown_plan`,
        `already_subscribed`, `too_few_seats` (R25) as in `change`.
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
                await self.command("SET", keys.checkout_owner(checkout), account, "PX", _OWNER_KEPT_MS)
                return decode_checkout(account, rest[0])
            case "refused":
                return outcomes.Refused(*texts(rest))
            case "keys_changed":
                return outcomes.KeysChanged()
            case _:
                return outcomes.NotFound()

    async def set_customer(
        self, *, account: str, customer: str, checkout: str | None = None, replace: bool = False
    ) -> str | None:
        """Store the account's customer id at the provider; the first is kept unless `replace`. None: no such account.

        `checkout` gets the id that is stored.
        """
        key = self.account_key(account)
        word, rest = await self.run("set_customer", key, checkout=checkout, customer=customer, replace=replace)
        return str(rest[0].decode()) if word == "customer" else None

    async def checkout(self, *, account: str, checkout: str) -> outcomes.NotFound | Checkout:
        """One purchase."""
        word, rest = await self.run("checkout", self.account_key(account), checkout=checkout)
        return decode_checkout(account, rest[0]) if word == "checkout" else outcomes.NotFound()

    async def decline(
        self, *, account: str, checkout: str, because: Literal["declined", "expired", "failed"] = "declined"
    ) -> outcomes.NotFound | Checkout:
        """Close an open purchase with `status`. After `declined`, a later payment is ignored; otherwise it counts."""
        word, rest = await self.run("decline", self.account_key(account), checkout=checkout, status=because)
        return decode_checkout(account, rest[0]) if word == "checkout" else outcomes.NotFound()

    async def pay(self, *, account: str, checkout: str, ref: str) -> outcomes.NotFound | Checkout | Paid:
        """Grant the bundle or start the plan, once. Returns a Checkout if it had been declined: nothing was changed."""
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
        """Record how much of a bundle's payment one refund or dispute returned, and adjust its grant (R33).

        `of`: `charge` (all refunds together), `refund:<id>` or `dispute:<id>`; the report with the latest `at` counts.
        With `made`, the refund created then has failed, and `part` is what came back. Refused: `too_many_returns`.
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
        """Merge a provider's report on a subscription, and update the account to match all reports so far.

        Refused: `too_many_lines`, more than 500 in the last 400 days; nothing was stored.
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
    """A report as the script's arguments, without what is not reported."""
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
    """Decode a reply of `checkouts.reply`."""
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
