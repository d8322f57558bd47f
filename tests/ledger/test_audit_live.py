"""The audit of a ledger in which everything moves, and of one that is large."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from gateway.domain import Bucket, FailureCode, operation_id, partition_of_account
from gateway.ledger import keys, outcomes
from gateway.ledger.audit import Report, audit, rechecking, walk
from gateway.ledger.audit import accounts as audited_accounts
from gateway.ledger.audit import indexes as audited_indexes
from gateway.ledger.audit import journals as audited_journals
from gateway.ledger.ledger import Ledger
from gateway.redis_link.calls import Reply
from gateway.redis_link.scripts import Argument
from tests.ledger.world import DAY, PARTITIONS, World
from tests.until import until


def text(report: Report) -> str:
    return "\n".join(map(str, report.differences))


class Traffic:
    """Clients and workers that do anything to a few accounts, in any order, until they are told to stop."""

    def __init__(self, world: World, names: Sequence[str]) -> None:
        self.world = world
        self.names = names
        self.moves = 0
        self.stopping = asyncio.Event()

    async def run(self, seed: int) -> None:
        chance = random.Random(seed)
        while not self.stopping.is_set():
            await self._generation(chance.choice(self.names), chance)
            self.moves += 1
            await asyncio.sleep(0.01)  # so that the ledger has room for the audit too

    async def _generation(self, account: str, chance: random.Random) -> None:
        world = self.world
        made = await world.reserve(account, chance.randrange(0, 3_000), outputs=2)
        match chance.randrange(6):
            case 0:
                await world.advance(chance.randrange(DAY), account)
            case 1:
                await world.grant(account, 10_000)
            case 2:
                await world.ledger.adjust(
                    account=account,
                    operation=operation_id(),
                    bucket=Bucket.TOP_UP,
                    millicredits=-1,
                    reason="r",
                )
        if isinstance(made, outcomes.Reserved):
            await self._end(made.generation.id, chance)

    async def _end(self, generation: str, chance: random.Random) -> None:
        world, ledger = self.world, self.world.ledger
        begun = await ledger.begin(generation=generation, attempt=1, operation=operation_id())
        if not isinstance(begun, outcomes.Begun) or chance.random() < 0.2:
            if chance.random() < 0.5:
                await ledger.cancel(generation=generation)
            return
        if chance.random() < 0.7:
            await world.deliver(generation, 0)
        await world.settle(generation, chance.choice([None, FailureCode.MODERATED, FailureCode.PROVIDER_FAILED]))


@asynccontextmanager
async def traffic(world: World) -> AsyncIterator[Traffic]:
    """Traffic on four accounts while the block runs; it has begun when the block does."""
    names = [f"busy-{number}" for number in range(4)]
    for name in names:
        await world.account(name, top_up=10_000_000, plan="standard")
    busy = Traffic(world, names)
    tasks = [asyncio.create_task(busy.run(seed)) for seed in range(6)]
    try:
        await until(lambda: busy.moves >= 50)
        yield busy
    finally:
        busy.stopping.set()
        await asyncio.gather(*tasks)


async def test_an_audit_while_everything_moves_says_nothing(world: World) -> None:
    async with traffic(world) as busy:
        for _ in range(3):
            before = busy.moves
            report = await audit(world.ledger)
            assert report.clean, text(report)
            assert report.unproved == ()
            assert busy.moves > before, "nothing moved meanwhile"


async def test_an_audit_in_many_small_pieces_says_nothing_either(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits in one script is of one moment; here little does, so an account may be too busy to be proved."""
    monkeypatch.setattr(audited_accounts, "GENERATIONS_AT_ONCE", 20)
    monkeypatch.setattr(audited_indexes, "ROWS_AT_ONCE", 20)
    monkeypatch.setattr(audited_journals, "ENTRIES_AT_ONCE", 20)
    async with traffic(world) as busy:
        for _ in range(2):
            before = busy.moves
            report = await audit(world.ledger, rest=0)
            assert report.clean, text(report)
            assert busy.moves > before, "nothing moved meanwhile"
    report = await audit(world.ledger)
    assert report.clean, text(report)
    assert report.unproved == ()


async def test_an_item_that_keeps_changing_is_reported_as_not_verified(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audited_accounts, "GENERATIONS_AT_ONCE", 3)
    monkeypatch.setattr(audited_indexes, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(rechecking, "_PAUSE_MAX_SECONDS", 0)
    await world.account(top_up=10_000_000, plan="standard")
    for _ in range(8):
        await world.spend()
    ledger = Restless(world)
    report = await audit(ledger, rest=0)
    assert report.clean, text(report)
    assert "account ann" in report.unproved
    assert (await audit(world.ledger)).unproved == ()


class Watched(Ledger):
    """A ledger that notes what its reader holds at once: answers being waited for, and the longest."""

    def __init__(self, world: World) -> None:
        super().__init__(world.redis, partitions=PARTITIONS)
        self.now = self.at_once = self.longest = self.scripts = 0

    async def run(self, name: str, key: str, /, **arguments: Argument | None) -> tuple[str, Reply]:
        self.now += 1
        self.at_once = max(self.at_once, self.now)
        self.scripts += 1
        word, rest = await super().run(name, key, **arguments)
        self.longest = max(self.longest, *(len(part) for part in (rest, *rest) if isinstance(part, list)))
        self.now -= 1
        return word, rest


class Restless(Ledger):
    """A ledger in which something is reserved before each look at the account."""

    def __init__(self, world: World) -> None:
        super().__init__(world.redis, partitions=PARTITIONS)
        self.world = world

    async def run(self, name: str, key: str, /, **arguments: Argument | None) -> tuple[str, Reply]:
        if name == "audit_account":
            await self.world.spend(1)
        return await super().run(name, key, **arguments)


async def test_memory_is_bounded_by_pages_not_by_the_ledger(bare: World) -> None:
    """What is held at once is the same for 20 accounts and for 200 with as many entries and generations each."""
    held = []
    for first, last in ((0, 20), (20, 200)):
        for number in range(first, last):
            await bare.account(f"user-{number}")
            await bare.spend(1, f"user-{number}")
        ledger = Watched(bare)
        report = await audit(ledger, rest=0)
        assert (report.clean, report.accounts, report.generations) == (True, last, last)
        held.append((ledger.at_once, ledger.longest))
    (few_at_once, _), (many_at_once, many_longest) = held
    assert few_at_once <= many_at_once <= walk.CHECKS_AT_ONCE
    assert many_longest <= audited_indexes.ROWS_AT_ONCE + 3


async def test_a_journal_of_100_000_entries_is_read_in_pages(world: World) -> None:
    await world.account(top_up=5)
    account, journal = (make(partition_of_account("ann", PARTITIONS), "ann") for make in (keys.account, keys.journal))
    before = int(await world.redis.hget(account, "entries"))
    _, at, _, available, held, *_ = (await world.redis.lindex(journal, 0)).decode().split("|")
    more = [f"{number}|{at}|alert|{available}|{held}|||" for number in range(before + 1, 100_001)]
    for first in range(0, len(more), 5000):
        await world.redis.lpush(journal, *more[first : first + 5000])
    await world.redis.hset(account, "entries", "100000")
    ledger = Watched(world)
    report = await audit(ledger, rest=0)
    assert (report.clean, report.entries) == (True, 100_000)
    assert ledger.longest <= audited_journals.ENTRIES_AT_ONCE
