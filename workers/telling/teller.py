"""The teller: has every webhook told what it is to be told, as soon as it is due, beside the caretaker's rounds.

The ledger's outbox says what is due. A claim there keeps others away for as long as a try may take, so any number of
tellers may run; who is killed leaves it due again. Each webhook has its own few calls at a time, and while it fails
only one: a slow receiver delays its own events, never another's. Of the addresses that requests name each is a
receiver of its own, so there one call waits for no other.
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

from gateway.cancelling import cancel
from gateway.clock import now_ms
from gateway.domain import operation_id
from gateway.errors import FareboxError, LedgerUnavailable
from gateway.event_shapes import GENERATION_EVENTS, event_shape
from gateway.ledger import outcomes as o
from gateway.ledger.ledger import Ledger
from gateway.ledger.webhooks import DEFAULT, Claimed, Delivery, Due, Try, Webhook
from gateway.outputs import OutputLinks
from gateway.receivers import CALL_SECONDS, Answered, Receivers
from gateway.webhook_secrets import WebhookSecrets
from workers.insist import insist
from workers.metrics import WEBHOOK_TRIES
from workers.telling.call_room import CallRoom, Share

_ROUND_SECONDS = 1.0
_DUE_LIMIT = 1000  # of a partition: a hundred that are slow must not hide the others behind them
_CALLS_OF_A_WEBHOOK = 4
_ADDRESSES_AT_ONCE = 16  # of those that an account's requests name
_QUICK_SECONDS = 2.0
_COPIES_AT_ONCE = 8  # of an operators' webhook, which is due in each partition by itself
_CALLS_MAX = 500  # connections of this process: file descriptors, and the memory of their bodies
_CLAIM_MS = round(3 * CALL_SECONDS * 1000)  # a call, and as long again for a ledger that is slow to note it, twice
_CALL_MARGIN = 1.2  # aiohttp rounds a long timeout up to a whole second
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
    claim_ms: int = _CLAIM_MS
    room: CallRoom = field(default_factory=lambda: CallRoom(_CALLS_MAX))
    _work: dict[asyncio.Task[None], Due] = field(default_factory=dict)

    async def run(self) -> None:
        """Make rounds for ever."""
        while True:
            started_at = time.monotonic()
            await self.make_round()
            await asyncio.sleep(max(0, started_at + self.round_seconds - time.monotonic()))

    async def close(self) -> None:
        """Let the calls end that are under way; what is left then is due again when its claim runs out."""
        if self._work:
            await asyncio.wait(self._work, timeout=_CLOSE_SECONDS)
        await cancel(*self._work)

    async def make_round(self) -> None:
        """Begin with every webhook that is due and not in work here; a partition that is lost stops no other."""
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
            log.warning("webhooks_not_looked_at", partitions=len(errors), error=str(error), exc_info=exc_info)
        everything = [one for answer in answers if not isinstance(answer, BaseException) for one in answer]
        random.shuffle(everything)  # where not all can be told at once, each has its turn
        in_work = Counter(self._work.values())
        copies = Counter(_name(due) for due in in_work)
        for due in everything:
            at_once = _ADDRESSES_AT_ONCE if due.webhook == DEFAULT else 1
            if in_work[due] >= at_once or copies[_name(due)] >= _COPIES_AT_ONCE:
                continue
            share = self.room.take(_name(due), 1)
            if share.calls:
                copies[_name(due)] += not in_work[due]
                task = asyncio.create_task(self._tell(due, share), name=f"webhook {due.webhook}")
                self._work[task] = due
                task.add_done_callback(self._work.pop)

    async def settled(self) -> None:
        """Return when everything that is in work here is done: for tests, which look at what came of it."""
        while self._work:
            await asyncio.wait(self._work)

    async def _tell(self, due: Due, share: Share) -> None:
        """Tell one webhook what is due, until nothing is. Nothing that happens here ends the teller."""
        try:
            while share.calls:
                began_at = time.monotonic()
                try:
                    claimed = await self.ledger.claim_deliveries(
                        due=due, claim=operation_id(), for_ms=self.claim_ms, limit=share.calls
                    )
                    if claimed is None:
                        return
                    through = await self._try_all(due, claimed, began_at)
                finally:
                    self.room.give_back(share)
                quick = through and time.monotonic() - began_at < _QUICK_SECONDS
                self.room.judge(_name(due), quick=quick)
                if not quick and self.room.crowded:
                    return
                wanted = _CALLS_OF_A_WEBHOOK if through and due.webhook != DEFAULT else 1
                share = self.room.take(_name(due), wanted)
        except FareboxError as error:
            log.warning("webhook_left", webhook=due.webhook, account=due.account, error=str(error))
        except Exception:
            log.exception("webhook_failed", webhook=due.webhook, account=due.account)

    async def _try_all(self, due: Due, claimed: Claimed, began_at: float) -> bool:
        """Try what was claimed, all of it to its end whatever becomes of one; whether everything got through."""
        tries = (self._try(due, claimed, delivery, began_at) for delivery in claimed.deliveries)
        through = await asyncio.gather(*tries, return_exceptions=True)
        for one in through:
            if isinstance(one, BaseException):
                raise one
        return all(through)

    async def _try(self, due: Due, claimed: Claimed, delivery: Delivery, began_at: float) -> bool:
        """Call once and note what came of it; whether it got through."""
        webhook, at = claimed.webhook, _now()
        answered = await self._call(webhook, delivery, self._latest(began_at))
        if answered is None:
            return False
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

    def _latest(self, began_at: float) -> float:
        """Until when a call may begin: it must be over before the claim is, or it might come after a later event."""
        return began_at + self.claim_ms / 1000 - _CALL_MARGIN * self.receivers.call_seconds

    async def _call(self, webhook: Webhook, delivery: Delivery, latest: float) -> Answered | None:
        """Call once; None: it took too long to get there, and somebody else may have done it by now."""
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
        if time.monotonic() > latest:
            log.warning("webhook_claim_ran_out", webhook=webhook.id, account=webhook.account, event_id=delivery.event)
            return None
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


def _name(due: Due) -> tuple[str | None, str]:
    """One webhook, whatever the partition of its copy."""
    return due.account, due.webhook


def _now() -> int:
    return now_ms()
