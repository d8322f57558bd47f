"""Changes by operators and payments: subscriptions, grants, corrections, test clocks.

Each change is idempotent by its `operation` (R11).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway.domain import AMOUNT_MAX_MILLICREDITS, Bucket, Interval
from gateway.ledger import outcomes
from gateway.ledger.core import LedgerCore
from gateway.ledger.generation_records import decode_generation
from gateway.ledger.records import LETTERS, clean_reason, decode_account
from gateway.pricing.discounts import encode_factors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from gateway.redis_link.scripts import Argument

# The most one account may have: a hundred of the largest amounts, a tenth of where doubles stop being exact.
_BALANCE_MAX_MILLICREDITS = 100 * AMOUNT_MAX_MILLICREDITS

_CLOCK_MAX_MS = 221_845_392_000_000  # the year 9000, a few centuries before Python's calendar ends


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What a generation was charged was given back; both as they are now."""

    generation: outcomes.Generation
    account: outcomes.Account


class OperatorOperations(LedgerCore):
    """One method per script that changes an account's credits or subscription."""

    async def subscribe(
        self,
        *,
        account: str,
        operation: str,
        plan: str,
        interval: Interval,
        started_at: int | None = None,
        paid_through: int | None = None,
    ) -> outcomes.NotFound | outcomes.Refused | outcomes.Applied:
        """Start or renew a subscription, or change its plan immediately (R2, R3, R12).

        Refused: `unknown_plan`, `starts_in_future`, `paid_through_past`; `detail` is the account's now. Or, as in
        `change`, `too_few_seats`.
        """
        return await self._operate(
            "subscribe",
            account,
            operation,
            plan=plan,
            interval=interval,
            started_at=started_at,
            paid_through=paid_through,
            dispatch_ms=self.dispatch_ms,
        )

    async def change(
        self, *, account: str, operation: str, plan: str, interval: Interval | None, when: Literal["now", "period_end"]
    ) -> outcomes.NotFound | outcomes.Refused | outcomes.Applied:
        """Change the plan or interval (R12).

        Refused: `no_subscription`, `unknown_plan`, or `too_few_seats` (R25) with the plan's seats and, in a line each,
        the id and the name of who would have to go.
        """
        dispatch_ms = self.dispatch_ms
        return await self._operate(
            "change", account, operation, plan=plan, interval=interval, when=when, dispatch_ms=dispatch_ms
        )

    async def unsubscribe(
        self, *, account: str, operation: str, when: Literal["now", "period_end"] = "period_end"
    ) -> outcomes.NotFound | outcomes.Refused | outcomes.Applied:
        """Cancel the subscription at the end of its paid period (R3). Refused: `no_subscription`."""
        return await self._operate("unsubscribe", account, operation, when=when)

    async def resume(self, *, account: str, operation: str) -> outcomes.NotFound | outcomes.Refused | outcomes.Applied:
        """Undo a cancellation or a scheduled change (R3, R12). Refused: `no_subscription`."""
        return await self._operate("resume", account, operation)

    async def grant(
        self,
        *,
        account: str,
        operation: str,
        bucket: Bucket,
        millicredits: int,
        expires_at: int | None,
        reason: str,
        paid_micro: int | None = None,
    ) -> outcomes.NotFound | outcomes.Refused | outcomes.Applied:
        """Add an operator's grant (R5). `paid_micro`: what was paid for all of it, in micro-units; None: nothing (R31).

        Refused: `expires_in_past` (`detail`: the account's now), `too_much`, `too_many_grants`.
        """
        return await self._operate(
            "grant",
            account,
            operation,
            bucket=LETTERS[bucket],
            amount=millicredits,
            expires_at=expires_at,
            reason=clean_reason(reason),
            available_max=_BALANCE_MAX_MILLICREDITS,
            paid=paid_micro,
        )

    async def adjust(
        self, *, account: str, operation: str, bucket: Bucket, millicredits: int, reason: str
    ) -> outcomes.NotFound | outcomes.Refused | outcomes.Applied:
        """Correct a bucket by a signed amount (R24).

        Refused: `not_available`, `no_subscription`, `too_much`, `too_many_grants`; `detail` is the bucket's available
        amount.
        """
        return await self._operate(
            "adjust",
            account,
            operation,
            bucket=LETTERS[bucket],
            amount=millicredits,
            reason=clean_reason(reason),
            available_max=_BALANCE_MAX_MILLICREDITS,
        )

    async def adjust_generation(
        self, *, generation: str, operation: str, reason: str
    ) -> outcomes.NotFound | outcomes.Refused | GivenBack:
        """Give back what an ended generation was charged, once (R24, R36); its receipt and the journal say why.

        Refused: `open`, `nothing_charged`, `given_back`, `payment_returned` (of what paid for it), `too_much`,
        `too_many_grants`.
        """
        word, rest = await self.run(
            "adjust_generation",
            self.generation_key(generation),
            operation=operation,
            reason=clean_reason(reason),
            available_max=_BALANCE_MAX_MILLICREDITS,
        )
        match word:
            case "given_back":
                found = decode_generation(rest[0][0].decode(), rest[0][1])
                account = decode_account(found.account, rest[1])
                return self.moved(GivenBack(found, account))
            case "refused":
                return outcomes.Refused(rest[0].decode())
            case _:
                return outcomes.NotFound()

    async def set_alerts(
        self, *, account: str, operation: str, thousandths: Sequence[int]
    ) -> outcomes.NotFound | outcomes.Applied:
        """Set the thresholds for `alert` entries, in thousandths of the monthly allotment; none disables alerts."""
        thresholds = ",".join(map(str, sorted(set(thousandths), reverse=True)))
        answer = await self._operate("set_alerts", account, operation, thresholds=thresholds)
        if isinstance(answer, outcomes.Refused):
            raise self.unexpected("set_alerts", answer.reason)
        return answer

    async def set_factors(
        self, *, account: str, operation: str, factors: Mapping[str, Decimal]
    ) -> outcomes.NotFound | outcomes.Applied:
        """Set what an account pays of the card's prices, by tool, model or `"*"`; none: what its plan pays."""
        answer = await self._operate("set_factors", account, operation, factors=encode_factors(factors))
        if isinstance(answer, outcomes.Refused):
            raise self.unexpected("set_factors", answer.reason)
        return answer

    async def advance(
        self, *, account: str, operation: str, advance_ms: int
    ) -> outcomes.NotFound | outcomes.Refused | outcomes.Applied:
        """Move an account's clock forward (R22); it is a test account from then on.

        Refused: `too_far`, past the latest supported time (`detail`: the account's now).
        """
        return await self._operate("advance", account, operation, advance_ms=advance_ms, latest=_CLOCK_MAX_MS)

    async def _operate(
        self, script: str, account: str, operation: str, **arguments: Argument | None
    ) -> outcomes.NotFound | outcomes.Refused | outcomes.Applied:
        word, rest = await self.run(script, self.account_key(account), operation=operation, **arguments)
        match word:
            case "applied":
                return self.applied(rest, account)
            case "refused":
                return outcomes.Refused(rest[0].decode(), rest[1].decode())
            case _:
                return outcomes.NotFound()
