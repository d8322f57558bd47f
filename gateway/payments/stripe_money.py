"""Money returned, and regained: Stripe's refunds and disputes in each of their states (R33).

What counts is whether money moved. An inquiry, a dispute that was only opened, and a refund that requires action move
nothing (https://docs.stripe.com/disputes/how-disputes-work, https://docs.stripe.com/refunds).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

ACCOUNT = "farebox_account"
CHECKOUT = "farebox_checkout"

Json = dict[str, Any]

_ID = re.compile(r"[A-Za-z0-9_.@-]{1,255}")
_SECONDS_MAX = 1 << 33
_CENTS_MAX = 99_999_999

REFUNDED = "charge.refunded"
DISPUTED = "charge.dispute."
MOVES = frozenset(
    {
        REFUNDED, "refund.created", "refund.updated", "refund.failed", "charge.refund.updated",
        "charge.dispute.created", "charge.dispute.updated", "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated", "charge.dispute.closed",
    }
)  # fmt: skip
"""The events that may move money. Stripe sends a refund's under its old name and its new one, which is harmless."""

_WITHDRAWN, _LOST, _BACK = 1, 2, 3  # the order of a dispute's events within a second


@dataclass(frozen=True, slots=True)
class MoneyMoved:
    """How much of a payment one refund or dispute has returned; whose payment it was may take a query to Stripe.

    `invoice`: the one that it paid, if the event has it (before `2025-03-31.basil`).
    `whole`: the payment's amount, if the event has it; `purchase`: the account and the checkout, if it has them.
    `booked`: the amount in Stripe's balance, with its currency, in case the dispute's is not the payment's.
    """

    charge: str | None
    payment_intent: str | None
    of: str
    at: int
    amount: int
    currency: str
    whole: int | None = None
    invoice: str | None = None
    purchase: tuple[str, str] | None = None
    made: int | None = None
    booked: tuple[Fraction, str] | None = None


def money_moved(kind: str, about: Json, created: int) -> MoneyMoved | None:
    """The money moved according to an event of `MOVES`; None: none."""
    if kind == REFUNDED:
        return _charge(about, created)
    return _dispute(kind, about, created) if kind.startswith(DISPUTED) else _refund(kind, about, created)


def _charge(charge: Json, created: int) -> MoneyMoved | None:
    """`amount_refunded` is the sum of all refunds so far; Stripe copies a bundle's metadata to its charge."""
    if not charge["amount"]:
        return None
    return MoneyMoved(
        charge=id_of(charge),
        payment_intent=_id_or_none(charge.get("payment_intent")),
        of="charge",
        at=_moment(created),
        amount=cents(charge["amount_refunded"]),
        currency=str(charge.get("currency") or ""),
        whole=cents(charge["amount"]),
        invoice=_id_or_none(charge.get("invoice")),
        purchase=ours(charge.get("metadata")),
    )


def _refund(kind: str, refund: Json, created: int) -> MoneyMoved | None:
    """One refund. Its money is out once it is in Stripe's balance, even if still pending; it may fail weeks later."""
    status = refund.get("status")
    bounced = kind == "refund.failed" or status in {"failed", "canceled"}
    if not bounced and not is_out(refund):
        return None
    return MoneyMoved(
        charge=_id_or_none(refund.get("charge")),
        payment_intent=_id_or_none(refund.get("payment_intent")),
        of=f"refund:{id_of(refund)}",
        at=_moment(created, int(bounced)),
        amount=cents(refund["amount"]),
        currency=str(refund.get("currency") or ""),
        made=_moment(refund["created"]) if bounced else None,
    )


def is_out(refund: Json) -> bool:
    """Whether a refund's money has left Stripe's balance."""
    booked = refund.get("balance_transaction") is not None
    return refund.get("status") == "succeeded" or (refund.get("status") == "pending" and booked)


def _dispute(kind: str, dispute: Json, created: int) -> MoneyMoved | None:
    """One dispute: how much of the disputed amount is out now."""
    said = _said_by_balance(dispute)
    word, rank = _said_by_word(kind.removeprefix(DISPUTED), str(dispute.get("status")))
    # The event that money was regained may precede the balance's line; until then, the balance is authoritative.
    still_out = word if said is None or (kind.endswith("funds_reinstated") and said == 1) else said
    if still_out is None:
        return None
    amount = cents(dispute["amount"])
    return MoneyMoved(
        charge=_id_or_none(dispute.get("charge")),
        payment_intent=_id_or_none(dispute.get("payment_intent")),
        of=f"dispute:{id_of(dispute)}",
        at=_moment(created, rank),
        amount=int(amount * still_out),
        currency=str(dispute.get("currency") or ""),
        booked=_booked(dispute, still_out),
    )


def _said_by_balance(dispute: Json) -> Fraction | None:
    """The dispute's amount that is out according to Stripe's balance lines; None if it has none."""
    amounts = [cents(line["amount"]) for line in _lines(dispute)]
    gone = -sum(amount for amount in amounts if amount < 0)
    back = sum(amount for amount in amounts if amount > 0)
    return Fraction(max(gone - back, 0), gone) if gone else None


def _said_by_word(word: str, status: str) -> tuple[Fraction | None, int]:
    """The same according to the event's name; and its order within a second."""
    match word, status:
        case "funds_withdrawn", _:
            return Fraction(1), _WITHDRAWN
        case "funds_reinstated", _:
            return Fraction(0), _BACK
        case "closed", "won":
            return Fraction(0), _BACK
        case "closed", "lost":
            return Fraction(1), _LOST
        case _:
            return None, 0


def _booked(dispute: Json, still_out: Fraction) -> tuple[Fraction, str] | None:
    gone = [(-cents(line["amount"]), str(line.get("currency") or "")) for line in _lines(dispute) if line["amount"] < 0]
    return (sum(amount for amount, _ in gone) * still_out, gone[0][1]) if gone else None


def _lines(dispute: Json) -> list[Json]:
    return [line for line in dispute.get("balance_transactions") or [] if isinstance(line, dict)]


def _moment(created: Any, rank: int = 0) -> int:
    """When something was reported: Stripe's seconds, and the order within a second."""
    return seconds(created) * 10 + rank


def ours(metadata: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """The account and the checkout, if Farebox started it."""
    if not metadata or not metadata.get(ACCOUNT) or not metadata.get(CHECKOUT):
        return None
    return str(metadata[ACCOUNT]), str(metadata[CHECKOUT])


def id_of(thing: Any) -> str:
    """An id, also of an expanded object; ValueError if there is none."""
    text = str(thing["id"] if isinstance(thing, dict) else thing)
    if not _ID.fullmatch(text):
        raise ValueError("not an id")
    return text


def seconds(time: Any) -> int:
    """A time; ValueError before 1970 or from the year 2242 on, which scripts need not support."""
    whole = int(time)
    if not 0 <= whole < _SECONDS_MAX:
        raise ValueError("not a time")
    return whole


def milliseconds(time: Any) -> int:
    """A Stripe time in milliseconds."""
    return seconds(time) * 1000


def cents(amount: Any) -> int:
    """An amount; Stripe allows at most eight digits."""
    whole = int(amount)
    if abs(whole) > _CENTS_MAX:
        raise ValueError("not an amount")
    return whole


def _id_or_none(thing: Any) -> str | None:
    return None if thing is None else id_of(thing)
