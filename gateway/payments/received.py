"""Incoming payment events: applied, or stored until they can be, so that no payment is lost.

A plan that is on no card yet, a purchase that the ledger does not know, a form that the provider does not document: if
such an event were refused, the provider would resend it for days, then drop it, and the payment with it. So it is
stored and acknowledged. Operators see it, and it is retried when the rate card changes and every minute.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog
from pydantic_core import from_json, to_json

from gateway.clock import now_ms
from gateway.errors import EventNotApplicable, EventNotUnderstood, EventRefused, FareboxError, LedgerBroken
from gateway.ledger.ledger import Ledger
from gateway.payments.apply import apply
from gateway.payments.base import PaymentProvider

RETRY_SECONDS = 60

_EVENT_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_TYPE = re.compile(r"[a-z0-9_.]{1,100}")
_DETAIL_MAX = 300

# Personal data: none of it is needed, so none of it is stored.
_PERSONAL = frozenset(
    {
        "address", "billing_details", "collected_information", "custom_fields", "customer_address", "customer_details",
        "customer_email", "customer_name", "customer_phone", "customer_shipping", "customer_tax_ids", "description",
        "email", "evidence", "name", "payment_method_details", "phone", "previous_attributes", "receipt_email",
        "receipt_url", "shipping", "shipping_address", "shipping_details",
    }
)  # fmt: skip

log = structlog.get_logger(__name__)


class NoRoomForEvent(FareboxError):
    """An event can be neither applied nor stored: the provider has to send it again."""


@dataclass(frozen=True, slots=True)
class Unapplied:
    """A stored event. `reason` is a code, `detail` explains it; times are in real milliseconds."""

    id: str
    type: str
    reason: str
    detail: str
    account: str | None
    received_at: int
    tried_at: int
    tries: int
    event: Any


@dataclass(frozen=True, slots=True)
class _Problem:
    reason: str
    detail: str
    account: str | None = None


class ReceivedEvents:
    """Receives, stores and retries events."""

    def __init__(self, ledger: Ledger, provider: PaymentProvider | None) -> None:
        self._ledger = ledger
        self._provider = provider
        self._soon = asyncio.Event()

    async def receive(self, event: Any) -> None:
        """Apply or store an event; NoRoomForEvent, or EventRefused if it has no valid id or type to be stored by."""
        if not isinstance(event, dict):
            raise EventRefused("the event is not a JSON object")
        name, kind = _word(event, "id", _EVENT_ID), _word(event, "type", _TYPE)
        problem = await self._try(event)
        if problem is None:
            return
        now = now_ms()
        kept = Unapplied(name, kind, *_words(problem), problem.account, now, now, 1, without_persons(event))
        if not await self._keep(kept):
            log.error("payment_event_not_kept", event_id=name, event_type=kind, reason=problem.reason)
            raise NoRoomForEvent(f"{name} cannot be applied ({problem.reason}), and no more events can be stored")
        log.error(
            "payment_event_kept", event_id=name, event_type=kind, reason=problem.reason, detail=problem.detail,
            account=problem.account,
        )  # fmt: skip

    async def retry(self, event: str) -> Unapplied | bool | None:
        """Retry one. True: it is applied. Unapplied: as it is stored now. None: it is not stored."""
        text = await self._ledger.kept_event(event)
        return None if text is None else await self._retry(_read(text))

    async def retry_all(self) -> int:
        """Retry all, in the order they arrived; returns how many are left."""
        left = 0
        for kept in await self.listed():
            left += await self._retry(kept) is not True
        return left

    async def listed(self) -> list[Unapplied]:
        """The stored events, in the order they arrived."""
        return sorted(map(_read, (await self._ledger.kept_events()).values()), key=lambda kept: kept.received_at)

    async def drop(self, event: str) -> bool:
        """Delete one, at an operator's request; False if it was not stored."""
        dropped = await self._ledger.drop_event(event)
        if dropped:
            log.warning("payment_event_dropped", event_id=event)
        return dropped

    def retry_soon(self) -> None:
        """The rate card has changed: a plan that was missing may be on it now."""
        self._soon.set()

    async def keep_retrying(self) -> None:
        """Every minute, and when the rate card changes, until cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), RETRY_SECONDS)
            self._soon.clear()
            try:
                await self.retry_all()
            except FareboxError as error:
                log.warning("payment_events_not_retried", error=str(error))

    async def _retry(self, kept: Unapplied) -> Unapplied | bool:
        problem = await self._try(kept.event)
        if problem is None:
            await self._ledger.drop_event(kept.id)
            log.info("payment_event_applied_after_all", event_id=kept.id, event_type=kept.type, account=kept.account)
            return True
        reason, detail = _words(problem)
        kept = replace(kept, reason=reason, detail=detail, tried_at=now_ms(), tries=kept.tries + 1)
        await self._keep(kept)
        return kept

    async def _try(self, event: Any) -> _Problem | None:
        """Lets PaymentsUnavailable and LedgerUnavailable through: the event must then be sent again."""
        try:
            await self._bring(event)
        except EventNotApplicable as error:
            return _Problem(error.reason, error.detail, error.account)
        except EventNotUnderstood as error:
            return _Problem("not_understood", str(error))
        except LedgerBroken as error:
            log.exception("payment_event_script_failed")
            return _Problem("ledger_refused", str(error))
        return None

    async def _bring(self, event: Any) -> None:
        """Apply an event; EventNotApplicable if it cannot be applied completely now."""
        if self._provider is None:
            raise EventNotApplicable("payments_off", "FAREBOX_PAYMENTS is not set to the provider that sent this")
        said = await self._provider.read(event)
        if said is None:
            return
        brought = await apply(said, self._ledger, self._provider)
        if brought is None:
            reason, detail = "unknown_checkout", f"this ledger has no purchase {said.checkout}"
            raise EventNotApplicable(reason, detail, said.account)
        if brought.unknown_plans:
            detail = f"no rate card has ever had the plan {', '.join(brought.unknown_plans)}"
            raise EventNotApplicable("unknown_plan", detail, said.account)

    async def _keep(self, kept: Unapplied) -> bool:
        return await self._ledger.keep_event(kept.id, to_json(asdict(kept)).decode())


def without_persons(thing: Any) -> Any:
    """The event without names, addresses and others' metadata: ids, amounts, times and statuses stay."""
    if isinstance(thing, list):
        return [without_persons(item) for item in thing]
    if not isinstance(thing, dict):
        return thing
    kept = {name: without_persons(value) for name, value in thing.items() if name not in _PERSONAL}
    if isinstance(metadata := kept.get("metadata"), dict):
        kept["metadata"] = {name: value for name, value in metadata.items() if name.startswith("farebox_")}
    return kept


def _word(event: dict[str, Any], member: str, pattern: re.Pattern[str]) -> str:
    word = event.get(member)
    if not isinstance(word, str) or not pattern.fullmatch(word):
        raise EventRefused(f"the event's {member} is missing or malformed")
    return word


def _words(problem: _Problem) -> tuple[str, str]:
    return problem.reason, problem.detail[:_DETAIL_MAX]


def _read(text: str) -> Unapplied:
    return Unapplied(**from_json(text))
