"""What tests buy, and how: `await buy(world)` begins a purchase of the small bundle by `ann`."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

from gateway.domain import Interval
from gateway.ledger import outcomes
from gateway.ledger.ledger import Ledger
from gateway.ledger.payments import Billing, Checkout, Paid, PaidLine
from tests.ledger.world import World, the

SMALL = 1_000_000  # millicredits of the small bundle
BASIC = 3_000_000  # … and of a month of the basic plan
STANDARD = 8_000_000
PRO = 30_000_000
PRICES = {"basic": Decimal("13.00"), "standard": Decimal("30.00"), "pro": Decimal("90.00"), "gone": Decimal("1.00")}

_numbers = count(1)


async def start_purchase(
    world: World, account: str = "ann", **more: Any
) -> outcomes.NotFound | outcomes.KeysChanged | outcomes.Refused | Checkout:
    """Ask for a checkout, whatever the answer."""
    asked: dict[str, Any] = {
        "checkout": f"chk_{next(_numbers)}", "keys_version": None, "kind": "bundle", "what": "small", "interval": None,
        "name": "Small", "millicredits": SMALL, "price": Decimal("5.00"), "currency": "USD", "provider": "local",
        "live": False, **more,
    }  # fmt: skip
    return await world.ledger.check_out(account=account, **asked)


async def buy(world: World, account: str = "ann", **more: Any) -> Checkout:
    """Begin a purchase, which must be allowed."""
    return the(Checkout, await start_purchase(world, account, **more))


async def buy_plan(
    world: World, plan: str = "standard", interval: Interval = Interval.MONTHLY, account: str = "ann", **more: Any
) -> Checkout:
    """Begin to buy a plan."""
    return await buy(
        world, account, kind="plan", what=plan, interval=interval, name=plan.title(), price=PRICES[plan], **more
    )


async def pay(world: World, checkout: Checkout, ref: str = "pi_1") -> Paid:
    """The purchase is paid."""
    return the(Paid, await world.ledger.pay(account=checkout.account, checkout=checkout.id, ref=ref))


async def read(world: World, checkout: Checkout) -> Checkout:
    """The purchase as it is now."""
    return await read_checkout(world.ledger, checkout.account, checkout.id)


def line_of(
    start: int, end: int, cents: int = 3000, *, number: str | None = None, gross: int | None = None, **more: Any
) -> PaidLine:
    """One line of a paid invoice. The same period is the same line, unless it has another number."""
    number = number or f"{start}-{end}"
    asked: dict[str, Any] = {"id": f"il_{number}", "invoice": f"in_{number}", "billed_at": start, **more}
    return PaidLine(starts_at=start, ends_at=end, amount=cents, gross=cents if gross is None else gross, **asked)


def billing(checkout: Checkout, subscription: str, **facts: Any) -> Billing:
    """What a provider says of the subscription that a checkout began."""
    said = Billing(account=checkout.account, checkout=checkout.id, subscription=subscription)
    return replace(said, **facts)


async def read_checkout(ledger: Ledger, account: str, checkout: str) -> Checkout:
    """A purchase of this ledger."""
    return the(Checkout, await ledger.checkout(account=account, checkout=checkout))
