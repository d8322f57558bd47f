"""A ledger with a rate card and the few moves that tests make: `world.spend()`, `world.begin()`, `world.settle()`.

The ledger's time stands still in `standing_world`, whatever the machine does meanwhile: nothing becomes due, expires
or refills unless a test moves the time by `world.later`. Only Redis's own expiry of keys goes on. In `open_world` it is
Redis's time, for tests with processes of their own.

Account time moves by the account's own test clock, too (R22). And `pass_time` makes one generation older: all its times
and its deadline go back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar

from gateway.domain import (
    Bucket,
    EventType,
    FailureCode,
    GenerationRequest,
    Interval,
    Output,
    generation_id,
    operation_id,
    partition_of_account,
    partition_of_generation,
    webhook_id,
)
from gateway.ledger import keys, outcomes
from gateway.ledger.journal_records import Entry
from gateway.ledger.ledger import Ledger
from gateway.ledger.life import Reservation
from gateway.ledger.policy import PlanTerms, Policy, Terms
from gateway.ledger.webhooks import Webhook
from gateway.redis_link.connections import connect_ledger
from tests.invariants.checks import check_invariants
from tests.invariants.contents import Contents, read_contents
from tests.ledger.standing_clock import StandingClock

T = TypeVar("T")

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
PARTITIONS = 4

FREE = PlanTerms(concurrency={"image": 2, "video": 1}, max_waiting=20)
POLICY = Policy(
    version="sha256:first",
    file_time_ms=1_000,
    timezone="UTC",
    zone_changes=((0, 0),),
    reset_ms=0,
    daily_millicredits=100_000,
    free_for_everyone=True,
    refund_grace_ms=24 * HOUR,
    keep_upgrade_leftover=True,
    free=FREE,
    plans={
        "standard": PlanTerms(
            monthly_millicredits=8_000_000,
            price_cents={1: 3_000, 3: 7_650, 12: 25_200},
            concurrency={"image": 8, "video": 3},
            max_waiting=200,
            head_start_ms=10 * MINUTE,
            allow={"video": {"resolution": ("480p", "720p")}},
        ),
        "pro": PlanTerms(
            monthly_millicredits=30_000_000, price_cents={1: 9_000}, concurrency={"image": 20}, max_waiting=500
        ),
    },
)
TERMS = Terms(queue_timeout_ms=HOUR, provider_timeout_ms=45 * MINUTE, waiting_timeout_ms=DAY, attempts_max=3)
TIMES = ("created_at", "queued_at", "started_at", "give_up_at", "lease_until", "not_before")


def an_output(index: int = 0, attempt: int = 1) -> Output:
    """A finished picture."""
    return Output(
        index=index,
        object_key=f"out/{attempt}/{index}",
        content_type="image/png",
        bytes=3,
        width=16,
        height=9,
        sha256="00",
    )


def utc(text: str) -> int:
    """`2027-01-31 10:15` in milliseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def the(kind: type[T], outcome: object) -> T:
    """The outcome, which must be of this kind."""
    assert isinstance(outcome, kind), outcome
    return outcome


@dataclass
class World:
    """One ledger and what tests do with it. Amounts in millicredits; the account is `ann` unless said."""

    ledger: Ledger
    policy: Policy = POLICY
    holds: bool = True
    """Whether the invariants are to hold at the end; False for a test that breaks the data on purpose."""
    clock: StandingClock | None = None
    """What stands for the time; None where it is Redis's own."""
    _numbers: count[int] = field(default_factory=count)

    @property
    def redis(self) -> Any:
        """The client itself, to look past the ledger. Any: redis-py's types promise both an answer and a promise."""
        return self.ledger.redis

    # --- setting the scene ---

    async def publish(self, **changes: Any) -> bool:
        """A newer rate card with these changes."""
        self.policy = replace(self.policy, **{"file_time_ms": self.policy.file_time_ms + 1, **changes})
        return await self.ledger.publish(self.policy)

    async def account(self, account: str = "ann", *, top_up: int = 0, plan: str | None = None) -> outcomes.Account:
        """An account, with top-up credits and a plan if asked for."""
        await self.ledger.put_account(account=account)
        if top_up:
            await self.grant(account, top_up)
        if plan:
            await self.subscribe(account, plan)
        return await self.look(account)

    async def grant(
        self, account: str = "ann", amount: int = 1, bucket: Bucket = Bucket.TOP_UP, expires_at: int | None = None
    ) -> str:
        """An operator's grant; its id."""
        made = await self.ledger.grant(
            account=account,
            operation=operation_id(),
            bucket=bucket,
            millicredits=amount,
            expires_at=expires_at,
            reason="a gift",
        )
        return str(the(outcomes.Applied, made).grant)

    async def subscribe(self, account: str = "ann", plan: str = "standard", **more: Any) -> outcomes.Applied:
        """Start or renew a monthly subscription."""
        arguments: dict[str, Any] = {"interval": Interval.MONTHLY, "operation": operation_id(), **more}
        return the(outcomes.Applied, await self.ledger.subscribe(account=account, plan=plan, **arguments))

    async def advance(self, milliseconds: int, account: str = "ann") -> outcomes.Account:
        """Move the account's clock."""
        moved = await self.ledger.advance(account=account, operation=operation_id(), advance_ms=milliseconds)
        return the(outcomes.Applied, moved).account

    async def set_factors(
        self, factors: Mapping[str, Decimal], *, account: str = "ann", operation: str = ""
    ) -> outcomes.Account:
        """What the account pays of prices."""
        made = await self.ledger.set_factors(account=account, operation=operation or operation_id(), factors=factors)
        return the(outcomes.Applied, made).account

    async def advance_to(self, moment: int, account: str = "ann") -> outcomes.Account:
        """Move the account's clock to a moment, or milliseconds past it."""
        return await self.advance(moment - (await self.look(account)).now, account)

    async def listen(self, account: str | None = "ann", *events: EventType) -> str:
        """A webhook of an account, or the operators', for these events or all; its id."""
        webhook = webhook_id()
        made = await self.ledger.listen(
            webhook=webhook,
            account=account,
            url="https://example.com/hook",
            events=events or list(EventType),
            description="",
            mark="",
        )
        return the(Webhook, made).id

    # --- moves ---

    async def reserve(self, account: str = "ann", price: int = 10_000, **more: Any) -> Reservation:
        """Reserve, whatever the answer."""
        generation = more.pop("generation", None) or generation_id(partition_of_account(account, PARTITIONS))
        made: dict[str, Any] = {
            "tool": "image",
            "model": "nano-banana-2",
            "provider": "sandbox",
            "prompt": "a lighthouse",
            "outputs": 1,
            "rate_card": self.policy.version,
        }
        request = GenerationRequest(
            price_millicredits=price, **{name: more.pop(name, default) for name, default in made.items()},
            settings=more.pop("settings", {}), inputs=more.pop("inputs", ()), metadata=more.pop("metadata", {}),
            tags=more.pop("tags", {}), metering=more.pop("metering", None), providers=more.pop("providers", ()),
        )  # fmt: skip
        arguments: dict[str, Any] = {"terms": TERMS, "pro": False, "keys_version": None, "operation": operation_id()}
        return await self.ledger.reserve(
            account=account, generation=generation, request=request, **{**arguments, **more}
        )

    async def spend(self, price: int = 10_000, account: str = "ann", **more: Any) -> str:
        """Reserve, which must succeed; the generation's id."""
        return the(outcomes.Reserved, await self.reserve(account, price, **more)).generation.id

    async def begin(self, generation: str, attempt: int = 1) -> outcomes.Generation:
        """Begin an attempt, which must succeed."""
        begun = await self.ledger.begin(generation=generation, attempt=attempt, operation=operation_id())
        return the(outcomes.Begun, begun).generation

    async def deliver(self, generation: str, *indices: int, attempt: int = 1) -> None:
        """Deliver these outputs."""
        outputs = (an_output(index, attempt) for index in indices)
        calls = (self.ledger.deliver(generation=generation, attempt=attempt, output=output) for output in outputs)
        for outcome in await asyncio.gather(*calls):
            the(outcomes.Noted, outcome)

    async def settle(
        self, generation: str, failure: FailureCode | None = None, attempt: int = 1
    ) -> outcomes.Ended | outcomes.Requeued | outcomes.Stale:
        """End the attempt."""
        return await self.ledger.settle(
            generation=generation, attempt=attempt, operation=operation_id(), failure=failure
        )

    async def finish(self, generation: str, delivered: int = 1) -> outcomes.Ended:
        """Begin, deliver and settle."""
        await self.begin(generation)
        await self.deliver(generation, *range(delivered))
        return the(outcomes.Ended, await self.settle(generation))

    async def fail(self, generation: str) -> outcomes.Ended:
        """Begin and fail for good: all is refunded."""
        await self.begin(generation)
        return the(outcomes.Ended, await self.settle(generation, FailureCode.PROVIDER_REJECTED))

    async def running(self, price: int = 10_000, **more: Any) -> str:
        """A generation whose first attempt has begun."""
        generation = await self.spend(price, **more)
        await self.begin(generation)
        return generation

    async def note(self, generation: str, ref: str = "job-7") -> None:
        """Note the provider's job of the first attempt."""
        the(outcomes.Noted, await self.ledger.note(generation=generation, attempt=1, ref=ref))

    async def noted(self, price: int = 10_000, **more: Any) -> str:
        """A running generation whose provider's job is noted."""
        generation = await self.running(price, **more)
        await self.note(generation)
        return generation

    async def hand_back(self, generation: str, attempt: int = 1) -> outcomes.Requeued | outcomes.Ended | outcomes.Stale:
        """Hand the attempt back."""
        return await self.ledger.hand_back(generation=generation, attempt=attempt, operation=operation_id())

    async def parked(self, price: int = 10_000, **more: Any) -> str:
        """A generation left with its provider."""
        generation = await self.noted(price, **more)
        left = await self.ledger.park(generation=generation, attempt=1, operation=operation_id())
        the(outcomes.Parked, left)
        return generation

    async def rescue(
        self, generation: str, *, judge_leases: bool = True
    ) -> outcomes.NotDue | outcomes.Requeued | outcomes.Ended:
        """Rescue at the deadline as it is."""
        deadline = await self.due(generation)
        return await self.ledger.rescue(generation=generation, deadline=deadline, judge_leases=judge_leases)

    # --- time ---

    async def pass_time(self, generation: str, milliseconds: int) -> None:
        """As if so much real time had passed for this generation."""
        partition = partition_of_generation(generation)
        name = keys.generation(partition, generation)
        for moment in TIMES:
            known = await self.redis.hget(name, moment)
            if known is not None and known != b"0":
                await self.redis.hset(name, moment, str(int(known) - milliseconds))
        await self.redis.zincrby(keys.deadlines(partition), -milliseconds, generation)

    async def deadline(self, generation: str) -> int | None:
        """When someone must look at the generation."""
        score = await self.redis.zscore(keys.deadlines(partition_of_generation(generation)), generation)
        return None if score is None else int(score)

    async def due(self, generation: str) -> int:
        """The deadline of one that is open."""
        deadline = await self.deadline(generation)
        assert deadline is not None, "it has none"
        return deadline

    async def now(self) -> int:
        """The ledger's time."""
        return await self.ledger.time()

    async def redis_now(self) -> int:
        """Redis's own time, by which keys expire."""
        seconds, microseconds = (await self.redis.time())[:2]
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def later(self, milliseconds: int) -> int:
        """Move the time that stands still; the new one."""
        assert self.clock is not None, "here time goes by itself"
        self.clock.now += milliseconds
        await self.clock.show(self.redis)
        return self.clock.now

    # --- looking ---

    async def look(self, account: str = "ann") -> outcomes.Account:
        """The account, rolled forward."""
        return the(outcomes.Account, await self.ledger.account(account=account))

    async def available(self, account: str = "ann") -> tuple[int, int, int]:
        """Available free, subscription and top-up millicredits."""
        free, subscription, top_up = (await self.look(account)).available_millicredits.values()
        return free, subscription, top_up

    async def held(self, account: str = "ann") -> int:
        """What is held of all buckets."""
        return sum((await self.look(account)).held_millicredits.values())

    async def journal(self, account: str = "ann", *kinds: str) -> list[Entry]:
        """The account's entries, oldest first, of these kinds if any are given."""
        page = the(outcomes.Page, await self.ledger.journal(account=account, keys_version=None, limit=1000))
        return [entry for entry in reversed(page.data) if not kinds or entry.kind in kinds]

    async def generation(self, generation: str) -> outcomes.Generation:
        """The generation as it is."""
        return the(outcomes.Generation, await self.ledger.generation(generation=generation))

    async def fields(self, generation: str) -> dict[str, str]:
        """The generation's raw fields."""
        name = keys.generation(partition_of_generation(generation), generation)
        return {key.decode(): text.decode() for key, text in (await self.redis.hgetall(name)).items()}

    async def contents(self) -> Contents:
        """Every key of the ledger."""
        return await read_contents(self.ledger.redis)

    @asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """Whatever the block does leaves every key of the ledger as it was."""
        before = await self.contents()
        yield
        assert await self.contents() == before, "nothing may have changed"


@asynccontextmanager
async def standing_world(url: str, at: int | None = None, **settings: Any) -> AsyncIterator[World]:
    """As `open_world`, with a time that stands still: at `at`, or when this begins."""
    clock = StandingClock(time.time_ns() // 1_000_000 if at is None else at)
    with clock.instead_of_time():
        async with open_world(url, clock, **settings) as world:
            yield world


@asynccontextmanager
async def open_world(url: str, clock: StandingClock | None = None, **settings: Any) -> AsyncIterator[World]:
    """A started ledger with the rate card published; afterwards the invariants are checked."""
    ledger = Ledger(connect_ledger(url), partitions=PARTITIONS, **settings)
    try:
        if clock is not None:
            await clock.show(ledger.redis)
        await ledger.start()
        # No test may see the free credits reset because it ran at midnight: here the day turns twelve hours from now.
        noon = (await ledger.time() // HOUR * HOUR + 12 * HOUR) % DAY
        world = World(ledger, replace(POLICY, reset_ms=noon), clock=clock)
        await ledger.publish(world.policy)
        yield world
        if world.holds:
            await check_invariants(ledger.redis, PARTITIONS)
    finally:
        await ledger.close()


def shares(generation: outcomes.Generation) -> list[tuple[Bucket, int]]:
    """What a generation's price was drawn from."""
    return [(share.bucket, share.millicredits) for share in generation.allocation]


def amounts(entries: Sequence[Entry]) -> list[int]:
    """What entries changed of the available credits."""
    return [entry.credits_millicredits for entry in entries]
