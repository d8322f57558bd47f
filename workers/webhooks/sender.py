"""Delivers pending webhook events. Runs in the caretaker, in a task of its own.

The ledger's outbox says what is due. A claim in the ledger reserves a delivery for as long as a call may take, so any
number of senders may run; if one is killed, its deliveries are due again when the claim expires. Each webhook gets a
few concurrent calls, and only one while it fails: a slow receiver delays its own events, never another's. Every
`webhook_url` given in a request counts as a receiver of its own, so those calls do not wait for each other.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from gateway.clock import now_ms
from gateway.domain import operation_id
from gateway.errors import FareboxError, LedgerUnavailable, StoreUnavailable
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Generation
from gateway.ledger.webhooks import DEFAULT, ClaimedDeliveries, Delivery, Due, Try, Webhook
from gateway.outside.receivers import CALL_SECONDS, CallResult, Receivers
from gateway.outside.webhook_secrets import WebhookSecrets
from gateway.tasks import cancel
from gateway.views.events import GENERATION_EVENTS
from gateway.views.webhook_bodies import WebhookBodies
from workers.metrics import WEBHOOK_TRIES
from workers.retry import retry_until_answered
from workers.webhooks.call_limit import CallLimit, CallShare

_ROUND_SECONDS = 1.0
_DUE_LIMIT = 1000  # per partition: a hundred slow webhooks must not hide the others behind them
_CALLS_OF_A_WEBHOOK = 4
_ADDRESSES_AT_ONCE = 16  # per account, for `webhook_url`s given in requests
_QUICK_SECONDS = 2.0
_COPIES_AT_ONCE = 8  # of an operators' webhook, which has a copy in each partition
_CALLS_MAX = 500  # concurrent calls of this process: bounds file descriptors, and memory for bodies
_CLAIM_MS = round(3 * CALL_SECONDS * 1000)  # one call, plus twice as long for a slow ledger to record it
_CALL_MARGIN = 1.2  # aiohttp rounds a long timeout up to a whole second
_CLOSE_SECONDS = CALL_SECONDS + 1
_JITTER = (900, 1100)  # thousandths: what failed together must not come back in step

_LEVELS: Mapping[str, int] = {"paused": logging.WARNING, "failed": logging.WARNING}

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class WebhookSender:
    """Polls all partitions for due deliveries, forever."""

    ledger: Ledger
    receivers: Receivers
    secrets: WebhookSecrets
    bodies: WebhookBodies
    lease_seconds: float
    round_seconds: float = _ROUND_SECONDS
    claim_ms: int = _CLAIM_MS
    limit: CallLimit = field(default_factory=lambda: CallLimit(_CALLS_MAX))
    _work: dict[asyncio.Task[None], Due] = field(default_factory=dict)

    async def run(self) -> None:
        """Poll forever."""
        while True:
            started_at = time.monotonic()
            await self.make_round()
            await asyncio.sleep(max(0, started_at + self.round_seconds - time.monotonic()))

    async def close(self) -> None:
        """Wait for calls in progress. Whatever does not finish is due again when its claim expires."""
        if self._work:
            await asyncio.wait(self._work, timeout=_CLOSE_SECONDS)
        await cancel(*self._work)

    async def make_round(self) -> None:
        """Start sending to every due webhook that is not in progress here; an unreachable partition blocks no other."""
        answers = await asyncio.gather(
            *(
                self.ledger.due_webhooks(partition=partition, limit=_DUE_LIMIT)
                for partition in range(self.ledger.partitions)
            ),
            return_exceptions=True,
        )
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        if errors:
            unexpected = [error for error in errors if not isinstance(error, LedgerUnavailable)]
            error = (unexpected or errors)[0]
            exc_info = bool(unexpected) and error
            log.warning("webhooks_not_checked", partitions=len(errors), error=str(error), exc_info=exc_info)
        everything = [one for answer in answers if not isinstance(answer, BaseException) for one in answer]
        random.shuffle(everything)  # when not all can be called at once, each gets a turn
        in_work = Counter(self._work.values())
        copies = Counter(_name(due) for due in in_work)
        for due in everything:
            at_once = _ADDRESSES_AT_ONCE if due.webhook == DEFAULT else 1
            if in_work[due] >= at_once or copies[_name(due)] >= _COPIES_AT_ONCE:
                continue
            share = self.limit.acquire(_name(due), 1)
            if share.calls:
                copies[_name(due)] += not in_work[due]
                task = asyncio.create_task(self._send_due(due, share), name=f"webhook {due.webhook}")
                self._work[task] = due
                task.add_done_callback(self._work.pop)

    async def settled(self) -> None:
        """Return when all calls in progress here are done. For tests, which then check the results."""
        while self._work:
            await asyncio.wait(self._work)

    async def _send_due(self, due: Due, share: CallShare) -> None:
        """Send to one webhook until nothing is due. Errors are logged and never stop the sender."""
        try:
            while share.calls:
                began_at = time.monotonic()
                try:
                    claimed = await self.ledger.claim_deliveries(
                        due=due, claim=operation_id(), for_ms=self.claim_ms, limit=share.calls
                    )
                    if claimed is None:
                        return
                    through = await self._deliver_all(due, claimed, began_at)
                finally:
                    self.limit.release(share)
                quick = through and time.monotonic() - began_at < _QUICK_SECONDS
                self.limit.note_speed(_name(due), quick=quick)
                if not quick and self.limit.crowded:
                    return
                wanted = _CALLS_OF_A_WEBHOOK if through and due.webhook != DEFAULT else 1
                share = self.limit.acquire(_name(due), wanted)
        except FareboxError as error:
            log.warning("webhook_left", webhook=due.webhook, account=due.account, error=str(error))
        except Exception:
            log.exception("webhook_failed", webhook=due.webhook, account=due.account)

    async def _deliver_all(self, due: Due, claimed: ClaimedDeliveries, began_at: float) -> bool:
        """Call the receiver for each claimed delivery, all to the end even if one fails; whether all were accepted."""
        tries = (self._deliver(due, claimed, delivery, began_at) for delivery in claimed.deliveries)
        through = await asyncio.gather(*tries, return_exceptions=True)
        for one in through:
            if isinstance(one, BaseException):
                raise one
        return all(through)

    async def _deliver(self, due: Due, claimed: ClaimedDeliveries, delivery: Delivery, began_at: float) -> bool:
        """Call once and record the result; whether the receiver accepted it."""
        webhook, at = claimed.webhook, _now()
        answered = await self._call(webhook, delivery, self._latest(began_at))
        if answered is None:
            return False
        result = Try(at, answered.status_code, answered.word, answered.duration_ms)
        word = await retry_until_answered(
            "tried",
            lambda: self.ledger.tried(
                due=due,
                claim=claimed.claim,
                event=delivery.event,
                outcome=answered.outcome,
                result=result,
                jitter_thousandths=random.randint(*_JITTER),  # noqa: S311 - not a secret
            ),
            lease_seconds=self.lease_seconds,
        )
        WEBHOOK_TRIES.labels(word).inc()
        # Neither the URL nor the response is logged: both belong to the customer, and a URL may contain a token.
        log.log(
            _LEVELS.get(word, logging.INFO),
            "webhook_tried",
            webhook=webhook.id,
            account=delivery.account,
            event_id=delivery.event,
            event_type=delivery.type,
            outcome=word,
            status_code=answered.status_code,
            reason=answered.word,
            duration_ms=answered.duration_ms,
        )
        return answered.outcome == "delivered"

    def _latest(self, began_at: float) -> float:
        """The latest start of a call: it must end before the claim expires, or it might arrive after a later event."""
        return began_at + self.claim_ms / 1000 - _CALL_MARGIN * self.receivers.call_seconds

    async def _call(self, webhook: Webhook, delivery: Delivery, latest: float) -> CallResult | None:
        """Call once. None if the claim is about to expire: another sender may deliver it."""
        secrets: Sequence[str] = self.secrets.in_force(webhook, _now())
        url = delivery.url or webhook.url
        if not secrets or url is None:
            log.error(
                "webhook_not_signed",
                webhook=webhook.id,
                account=webhook.account,
                fix="give this process the gateway's FAREBOX_SIGNING_KEY, or rotate the webhook's secret",
            )
            return CallResult(None, "secret_missing", 0)
        try:
            body = await self.bodies.body_of(delivery, await self._generation(delivery))
        except StoreUnavailable as error:  # a text that belongs into it cannot be read now
            log.warning("event_unreadable", webhook=webhook.id, event_id=delivery.event, error=str(error))
            return CallResult(None, "unreadable", 0)
        except Exception:  # the generation cannot be read: retried like any other failure, for a day
            log.exception("event_unreadable", webhook=webhook.id, event_id=delivery.event, about=delivery.subject)
            return CallResult(None, "unreadable", 0)
        if time.monotonic() > latest:
            log.warning("webhook_claim_ran_out", webhook=webhook.id, account=webhook.account, event_id=delivery.event)
            return None
        beside = self.secrets.headers_beside(delivery, body)
        return await self.receivers.call(url, delivery.event, body, secrets, beside)

    async def _generation(self, delivery: Delivery) -> Generation | None:
        if delivery.type not in GENERATION_EVENTS:
            return None
        found = await retry_until_answered(
            "generation",
            lambda: self.ledger.generation(generation=delivery.subject),
            lease_seconds=self.lease_seconds,
        )
        return found if isinstance(found, Generation) else None


def _name(due: Due) -> tuple[str | None, str]:
    """Identifies a webhook across the partitions that hold a copy of it."""
    return due.account, due.webhook


def _now() -> int:
    return now_ms()
