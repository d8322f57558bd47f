"""What the tests of webhooks ask a ledger for, in a word each."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain import EventType, operation_id, partition_of_account
from gateway.ledger import outcomes
from gateway.ledger.webhooks import Delivery, Due, Try, Webhook
from tests.ledger.world import HOUR, PARTITIONS, SECOND, World, the

ENDS = (EventType.GENERATION_SUCCEEDED, EventType.GENERATION_FAILED, EventType.GENERATION_CANCELLED)


CLAIM_MS = 30 * SECOND


def due_of(webhook: str, account: str = "ann") -> Due:
    return Due(partition_of_account(account, PARTITIONS), account, webhook)


async def deliveries_of(world: World, webhook: str, account: str | None = "ann") -> list[Delivery]:
    """All deliveries of a webhook, done or pending, oldest first."""
    page = the(outcomes.Page, await world.ledger.deliveries(webhook=webhook, account=account, limit=100))
    return list(page.data)[::-1]


async def types(world: World, webhook: str, account: str | None = "ann") -> list[str]:
    return [str(one.type) for one in await deliveries_of(world, webhook, account)]


async def claim(world: World, due: Due, limit: int = 10) -> Sequence[tuple[str, Delivery]]:
    """What is due, with its claim."""
    claimed = await world.ledger.claim_deliveries(due=due, claim=operation_id(), for_ms=CLAIM_MS, limit=limit)
    return [] if claimed is None else [(claimed.claim, delivery) for delivery in claimed.deliveries]


async def tried(world: World, due: Due, one: tuple[str, Delivery], code: int | None = 200, jitter: int = 1000) -> str:
    taken = code is not None and code < 300
    return await world.ledger.tried(
        due=due,
        claim=one[0],
        event=one[1].event,
        outcome="delivered" if taken else "gone" if code == 410 else "failed",
        result=Try(0, code, None if code else "timeout", 12),
        jitter_thousandths=jitter,
    )


async def webhook_of(world: World, webhook: str) -> Webhook:
    return the(Webhook, await world.ledger.webhook(webhook=webhook, account="ann"))


async def fail_for_a_day(world: World, due: Due, deliver: Due | None = None) -> str:
    """Have the one event of a copy fail until it is given up; `deliver`: another, which gets something through."""
    while True:
        (one,) = await claim(world, due)
        word = await tried(world, due, one, 500)
        if word != "again":
            return word
        await world.later(4 * HOUR)
        if deliver is not None:
            for other in await claim(world, deliver):
                await tried(world, deliver, other)
