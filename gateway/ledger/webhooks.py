"""Webhooks: their subscriptions, deliveries, and pending events.

An account's webhooks are in its own partition. An operators' webhook (account None) receives events of all accounts, so
it has a copy in each partition, with the events of that partition's accounts; the first copy says that it exists.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.domain import ALL_ACCOUNTS, EventType, WebhookForm, partition_of_account
from gateway.ledger import keys, outcomes
from gateway.ledger.core import LedgerCore, texts
from gateway.ledger.records import pairs
from gateway.redis_link.scripts import Argument

DEFAULT = "default"
"""The webhook that every account has: it delivers to the URLs in requests (`webhook_url`)."""

WEBHOOKS_MAX = 10
"""The maximum number of webhooks per account, and for the operators."""

SECRET_OVERLAP_MS = 24 * 3600 * 1000
"""How long the previous secret also signs after a rotation."""


@dataclass(frozen=True, slots=True)
class TooMany:
    """The owner has the maximum number of webhooks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook. `account` is None for the operators'; `version` counts its secrets, `mark` is the newest one's hash.

    `paused_because`: `failing` (for a whole day), `gone` (410) or `asked`; `dropped` counts events over the limit.
    """

    id: str
    account: str | None
    url: str | None
    events: tuple[EventType, ...]
    description: str
    version: int
    mark: str
    created_at: int
    rotated_at: int | None = None
    rotation: str | None = None
    paused_at: int | None = None
    paused_because: Literal["failing", "gone", "asked"] | None = None
    failing_since: int | None = None
    delivered_at: int | None = None
    dropped: int = 0

    @property
    def paused(self) -> bool:
        """Whether automatic deliveries are paused."""
        return self.paused_at is not None


@dataclass(frozen=True, slots=True)
class Try:
    """One try: the receiver's status code, or a code for why there is none."""

    at: int
    status_code: int | None
    word: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one webhook. `subject` is a generation or an account; `tries` has the latest, `tried` counts all.

    `url` and `form` are those of the request's own webhook, if it has one; `data` is what the generation itself does
    not contain.
    """

    event: str
    type: EventType
    account: str
    subject: str
    status: Literal["pending", "delivered", "failed"]
    created_at: int
    delivered_at: int | None
    next_at: int | None
    tries: tuple[Try, ...]
    tried: int
    url: str | None
    form: WebhookForm | None = None
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClaimedDeliveries:
    """Deliveries that no other process tries until the claim expires."""

    claim: str
    webhook: Webhook
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """A webhook with due deliveries."""

    partition: int
    account: str | None
    webhook: str


class WebhookOperations(LedgerCore):
    """One method per webhook script, and reads without a script."""

    async def listen(
        self, *, webhook: str, account: str | None, url: str, events: Sequence[EventType], description: str, mark: str
    ) -> outcomes.NotFound | TooMany | Webhook:
        """Create a webhook; an existing one with this id is returned as it is."""
        replies = await self._everywhere(
            "listen",
            webhook,
            account,
            url=url,
            event_types=",".join(events),
            description=description,
            mark=mark,
            webhooks_max=WEBHOOKS_MAX,
        )
        words = {word for word, _ in replies}
        if "too_many" in words and account is None:
            await self.unlisten(webhook=webhook, account=None)  # in some partitions, another took the last place
        if words != {"webhook"}:
            return TooMany() if "too_many" in words else outcomes.NotFound()
        return _merged(webhook, account, [rest[0] for _, rest in replies])

    async def change_webhook(
        self,
        *,
        webhook: str,
        account: str | None,
        url: str | None = None,
        events: Sequence[EventType] | None = None,
        description: str | None = None,
        status: Literal["active", "paused"] | None = None,
    ) -> outcomes.NotFound | Webhook:
        """Change the given fields; `active` resumes a paused one with all pending events."""
        replies = await self._everywhere(
            "change_webhook",
            webhook,
            account,
            url=url,
            event_types=",".join(events or ()),
            description=None if description is None else f"={description}",
            status=status,
            because="asked",
        )
        return _one(webhook, account, replies)

    async def unlisten(self, *, webhook: str, account: str | None) -> bool:
        """Delete a webhook and all its data; False if there is none."""
        replies = await self._everywhere("unlisten", webhook, account)
        return any(word == "deleted" for word, _ in replies)

    async def rotate(
        self, *, webhook: str, account: str | None, operation: str, version: int, mark: str
    ) -> outcomes.NotFound | Webhook:
        """Rotate its secret to the next `version`; repeating an `operation` returns the same result."""
        replies = await self._everywhere("rotate", webhook, account, operation=operation, version=version, mark=mark)
        return _one(webhook, account, replies)

    async def webhook(self, *, webhook: str, account: str | None) -> outcomes.NotFound | Webhook:
        """One webhook. An account's `default` one exists as soon as the account does, with version 0 at first."""
        replies = await asyncio.gather(
            *(
                self.command("HGETALL", keys.webhook(partition, _owner(account), webhook))
                for partition in self._partitions(account)
            )
        )
        found = [reply for reply in map(_flat, replies) if reply]
        # The first partition's copy decides whether it exists: it is created last, and deleted last.
        if not _flat(replies[0]):
            known = (
                account is not None and webhook == DEFAULT and await self.command("EXISTS", self.account_key(account))
            )
            return _merged(webhook, account, []) if known else outcomes.NotFound()
        return _merged(webhook, account, found)

    async def webhooks(self, *, account: str | None) -> tuple[Webhook, ...]:
        """All webhooks of an account, or of the operators, oldest first, without the `default` one."""
        place = keys.policy(0) if account is None else self.account_key(account)
        listed = await self.command("HGET", place, "webhooks")
        ids = [part.partition("=")[0] for part in (listed or b"").decode().split(";") if part]
        found = await asyncio.gather(*(self.webhook(webhook=one, account=account) for one in ids))
        return tuple(one for one in found if isinstance(one, Webhook))

    async def deliveries(
        self, *, webhook: str, account: str | None, limit: int, before: str | None = None
    ) -> outcomes.NotFound | outcomes.Page[Delivery]:
        """A webhook's deliveries, newest first. `before` is an event's id; NotFound also if that does not exist."""
        at: int | None = None
        if before is not None:
            place = keys.deliveries(self._partition(account, before), _owner(account), webhook)
            score = await self.command("ZSCORE", place, before)
            if score is None:
                return outcomes.NotFound()
            at = int(float(score))
        replies = await self._everywhere("deliveries", webhook, account, limit=limit, before_at=at, before_event=before)
        if replies[0][0] != "page":
            # No request has named a URL yet.
            fresh = webhook == DEFAULT and isinstance(await self.webhook(webhook=webhook, account=account), Webhook)
            return outcomes.Page((), None) if fresh else outcomes.NotFound()
        found = [decode_delivery(*item) for _, rest in replies for item in rest]
        found.sort(key=lambda one: (one.created_at, one.event), reverse=True)
        return outcomes.Page(tuple(found[:limit]), found[limit - 1].event if len(found) > limit else None)

    async def delivery(self, *, webhook: str, account: str | None, event: str) -> outcomes.NotFound | Delivery:
        """One delivery; when it is tried next is only in the list."""
        place = keys.delivery(self._partition(account, event), _owner(account), webhook, event)
        flat = _flat(await self.command("HGETALL", place))
        return decode_delivery(event.encode(), b"", flat) if flat else outcomes.NotFound()

    async def resend(self, *, webhook: str, account: str | None, event: str) -> outcomes.NotFound | Delivery:
        """Deliver an event again, or at once, also to a paused webhook."""
        key = keys.webhook(self._partition(account, event), _owner(account), webhook)
        word, rest = await self.run("resend", key, event=event)
        return decode_delivery(event.encode(), *rest) if word == "delivery" else outcomes.NotFound()

    # --- delivering ---

    async def due_webhooks(self, *, partition: int, limit: int) -> list[Due]:
        """The webhooks of a partition with due deliveries, longest overdue first."""
        found = texts(await self._calls.run("overdue", keys.webhooks(partition), limit=limit))
        named = (name.split(":") for name in found[::2])
        return [Due(partition, None if owner == ALL_ACCOUNTS else owner, webhook) for owner, webhook in named]

    async def claim_deliveries(self, *, due: Due, claim: str, for_ms: int, limit: int) -> ClaimedDeliveries | None:
        """Claim a webhook's due deliveries for a while; None if nothing is due (anymore)."""
        key = keys.webhook(due.partition, _owner(due.account), due.webhook)
        word, rest = await self.run("claim_deliveries", key, claim=claim, claim_ms=for_ms, limit=limit)
        if word != "claimed":
            return None
        deliveries = tuple(decode_delivery(event, b"", flat) for event, flat in rest[1:])
        return ClaimedDeliveries(claim, _merged(due.webhook, due.account, [rest[0]]), deliveries)

    async def tried(
        self,
        *,
        due: Due,
        claim: str,
        event: str,
        outcome: Literal["delivered", "failed", "gone"],
        result: Try,
        jitter_thousandths: int,
    ) -> str:
        """Record a try: "stale" if the claim expired, "delivered", "again", "failed" (only this event) or "paused"."""
        key = keys.webhook(due.partition, _owner(due.account), due.webhook)

        def tried(delivered_at: int | None) -> Awaitable[tuple[str, list[Any]]]:
            return self.run(
                "tried",
                key,
                event=event,
                claim=claim,
                outcome=outcome,
                status_code=result.status_code,
                word=result.word,
                duration_ms=result.duration_ms,
                jitter=jitter_thousandths,
                delivered_at=delivered_at,
            )

        word, rest = await tried(None)
        if word == "unsure":
            whole = await self.webhook(webhook=due.webhook, account=due.account)
            delivered_at = whole.delivered_at if isinstance(whole, Webhook) else None
            word, rest = await tried(delivered_at or 0)
        if word == "paused" and due.account is None and rest[0]:
            # The other copies are of the same receiver.
            await self._everywhere(
                "change_webhook",
                due.webhook,
                None,
                url=None,
                event_types=None,
                description=None,
                status="paused",
                because=rest[0].decode(),
            )
        return word

    # --- where ---

    def _partitions(self, account: str | None) -> Sequence[int]:
        return range(self.partitions) if account is None else (partition_of_account(account, self.partitions),)

    def _partition(self, account: str | None, event: str) -> int:
        """The partition of an event, which is part of its id."""
        return int(event[4:6], 16) if account is None else partition_of_account(account, self.partitions)

    async def _everywhere(
        self, script: str, webhook: str, account: str | None, **arguments: Argument | None
    ) -> list[tuple[str, list[Any]]]:
        """Run a script on each copy, the first one last: after a crash, the call can be repeated."""
        first, *others = (keys.webhook(partition, _owner(account), webhook) for partition in self._partitions(account))
        replies = await asyncio.gather(*(self.run(script, key, **arguments) for key in others))
        return [await self.run(script, first, **arguments), *replies]


def _owner(account: str | None) -> str:
    return ALL_ACCOUNTS if account is None else account


def _one(webhook: str, account: str | None, replies: Sequence[tuple[str, list[Any]]]) -> outcomes.NotFound | Webhook:
    found = [rest[0] for word, rest in replies if word == "webhook"]
    return _merged(webhook, account, found) if replies[0][0] == "webhook" else outcomes.NotFound()


def _flat(reply: Mapping[bytes, bytes] | Sequence[bytes]) -> list[bytes]:
    """A hash as a flat list of names and values, in either client format."""
    if isinstance(reply, Mapping):
        return [text for pair in reply.items() for text in pair]
    return list(reply)


def _merged(webhook: str, account: str | None, copies: Iterable[Sequence[bytes]]) -> Webhook:
    """Merge a webhook's copies: paused if any is, with the earliest or latest of their times."""
    several = [pairs(copy) for copy in copies]
    fields = several[0] if several else {}

    def times(name: str) -> list[int]:
        return [int(one[name]) for one in several if name in one]

    because: Any = next((one.get("because") for one in several if one.get("status") == "paused"), None)
    return Webhook(
        id=webhook,
        account=account,
        url=fields.get("url"),
        events=tuple(EventType(text) for text in fields.get("events", "").split(",") if text),
        description=fields.get("description", ""),
        # The first copy's, which is written last: an interrupted rotation is repeated to the same version.
        version=int(fields.get("version", 0)),
        mark=fields.get("mark", ""),
        created_at=min(times("created_at"), default=0),
        rotated_at=max(times("rotated_at"), default=None),
        rotation=fields.get("rotation"),
        paused_at=min(times("paused_at"), default=None),
        paused_because=because,
        failing_since=min(times("failing_since"), default=None),
        delivered_at=max(times("delivered_at"), default=None),
        dropped=sum(times("dropped")),
    )


def decode_delivery(event: bytes, next_at: bytes, flat: Sequence[bytes]) -> Delivery:
    """Decode a delivery; `next_at` is its score in `pending`, if any."""
    fields = pairs(flat)
    status: Any = fields["status"]
    return Delivery(
        event=event.decode(),
        type=EventType(fields["type"]),
        account=fields["account"],
        subject=fields["subject"],
        status=status,
        created_at=int(fields["created_at"]),
        delivered_at=int(fields["delivered_at"]) if "delivered_at" in fields else None,
        next_at=int(next_at) if next_at else None,
        tries=tuple(_try(text) for text in fields.get("tries", "").split(";") if text),
        tried=int(fields.get("tried", 0)),
        url=fields.get("url"),
        form=WebhookForm(fields["form"]) if "form" in fields else None,
        data=json.loads(fields.get("data", "{}")),
    )


def _try(text: str) -> Try:
    at, code, word, duration = text.split(",")
    return Try(int(at), int(code) if code else None, word or None, int(duration))
