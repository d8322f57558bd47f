"""The teller: has every webhook told what it is to be told, as soon as it is due, beside the caretaker's rounds.

The ledger's outbox says what is due. A claim there keeps others away for as long as a try may take, so any number of
tellers may run; who is killed leaves it due again. Each webhook has its own few calls at a time, and while it fails
only one: a slow receiver delays its own events, never another's.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from gateway.cancelling import cancel
from gateway.domain import operation_id
from gateway.errors import FareboxError, LedgerUnavailable
from gateway.event_shapes import GENERATION_EVENTS, event_shape
from gateway.ledger import outcomes as o
from gateway.ledger.ledger import Ledger
from gateway.ledger.webhooks import Claimed, Delivery, Due, Try, Webhook
from gateway.outputs import OutputLinks
from gateway.webhook_secrets import WebhookSecrets
from workers.insist import insist
from workers.metrics import WEBHOOK_TRIES
from workers.receivers import CALL_SECONDS, Answered, Receivers

_ROUND_SECONDS = 1.0
_DUE_LIMIT = 100
_CALLS_OF_A_WEBHOOK = 4
_COPIES_AT_ONCE = 8  # of an operators' webhook, which is due in each partition by itself
_CALLS_MAX = 500  # connections of this process: file descriptors, and the memory of their bodies
_CLAIM_MS = round(3 * CALL_SECONDS * 1000)  # a call, and as long again for a ledger that is slow to note it, twice
_CLOSE_SECONDS = CALL_SECONDS + 1
_JITTER = (900, 1100)  # thousandths: what failed together must not come back in step

_LEVELS: Mapping[str, int] = {"paused": logging.WARNING, "failed": logging.WARNING}

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Teller:
    """Rounds over all partitions, for ever."""

    ledger: Ledger
    receivers: Receivers
    secrets: WebhookSecrets
    links: OutputLinks
    lease_seconds: float
    round_seconds: float = _ROUND_SECONDS
    _work: dict[Due, asyncio.Task[None]] = field(default_factory=dict)
    _calls: int = 0

    async def run(self) -> None:
        """Make rounds for ever."""
        while True:
            started_at = time.monotonic()
            await self.make_round()
            await asyncio.sleep(max(0, started_at + self.round_seconds - time.monotonic()))

    async def close(self) -> None:
        """Let the calls end that are under way; what is left then is due again when its claim runs out."""
        if self._work:
            await asyncio.wait(self._work.values(), timeout=_CLOSE_SECONDS)
        await cancel(*self._work.values())

    async def make_round(self) -> None:
        """Begin with every webhook that is due and not in work here."""
        try:
            found = await asyncio.gather(
                *(
                    self.ledger.due_webhooks(partition=partition, limit=_DUE_LIMIT)
                    for partition in range(self.ledger.partitions)
                )
            )
        except LedgerUnavailable as error:
            log.warning("webhooks_not_looked_at", error=str(error))
            return
        everything = [one for several in found for one in several]
        random.shuffle(everything)  # where not all can be told at once, each has its turn
        copies = Counter((due.account, due.webhook) for due in self._work)
        for due in everything:
            busy = copies[due.account, due.webhook] >= _COPIES_AT_ONCE or self._calls >= _CALLS_MAX
            if due not in self._work and not busy:
                copies[due.account, due.webhook] += 1
                task = asyncio.create_task(self._tell(due), name=f"webhook {due.webhook}")
                self._work[due] = task
                task.add_done_callback(partial(self._done, due))

    def _done(self, due: Due, _task: asyncio.Task[None]) -> None:
        del self._work[due]

    async def settled(self) -> None:
        """Return when everything that is in work here is done: for tests, which look at what came of it."""
        while self._work:
            await asyncio.wait(self._work.values())

    async def _tell(self, due: Due) -> None:
        """Tell one webhook what is due, until nothing is. Nothing that happens here ends the teller."""
        limit = 1
        try:
            while True:
                self._calls += limit
                try:
                    claimed = await self.ledger.claim_deliveries(
                        due=due, claim=operation_id(), for_ms=_CLAIM_MS, limit=limit
                    )
                    if claimed is None:
                        return
                    through = await self._try_all(due, claimed)
                finally:
                    self._calls -= limit
                limit = _CALLS_OF_A_WEBHOOK if through else 1
        except FareboxError as error:
            log.warning("webhook_left", webhook=due.webhook, account=due.account, error=str(error))
        except Exception:
            log.exception("webhook_failed", webhook=due.webhook, account=due.account)

    async def _try_all(self, due: Due, claimed: Claimed) -> bool:
        """Try what was claimed, all of it to its end whatever becomes of one; whether everything got through."""
        tries = (self._try(due, claimed, delivery) for delivery in claimed.deliveries)
        through = await asyncio.gather(*tries, return_exceptions=True)
        for one in through:
            if isinstance(one, BaseException):
                raise one
        return all(through)

    async def _try(self, due: Due, claimed: Claimed, delivery: Delivery) -> bool:
        """Call once and note what came of it; whether it got through."""
        webhook, at = claimed.webhook, _now()
        answered = await self._call(webhook, delivery)
        result = Try(at, answered.status_code, answered.word, answered.duration_ms)
        word = await insist(
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
        # No address and no answer: both are the customer's, and an address may have a token in it.
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

    async def _call(self, webhook: Webhook, delivery: Delivery) -> Answered:
        secrets: Sequence[str] = self.secrets.in_force(webhook, _now())
        url = delivery.url or webhook.url
        if not secrets or url is None:
            log.error(
                "webhook_not_signed",
                webhook=webhook.id,
                account=webhook.account,
                mend="give this process the gateway's FAREBOX_SIGNING_KEY, or rotate the webhook's secret",
            )
            return Answered(None, "secret_missing", 0)
        try:
            body = event_shape(delivery, await self._generation(delivery), self.links).json_text()
        except Exception:  # what it is about cannot be read: it is tried again like any other, for a day
            log.exception("event_unreadable", webhook=webhook.id, event_id=delivery.event, about=delivery.subject)
            return Answered(None, "unreadable", 0)
        return await self.receivers.call(url, delivery.event, body, secrets)

    async def _generation(self, delivery: Delivery) -> o.Generation | None:
        if delivery.type not in GENERATION_EVENTS:
            return None
        found = await insist(
            "generation",
            lambda: self.ledger.generation(generation=delivery.subject),
            lease_seconds=self.lease_seconds,
        )
        return found if isinstance(found, o.Generation) else None


def _now() -> int:
    return time.time_ns() // 1_000_000
