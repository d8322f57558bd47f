"""A year with an archive and `keep_days = 7`: what grows in Redis, by kind of key.

    make bench ONLY=year

Each day some accounts join, are busy for two weeks, and are never used again. Redis runs on a clock that is moved from
day to day (libfaketime), so everything expires as it would; the archivist, the daily trimming and the deletion of
outputs run once a day. After the first weeks only what an idle account costs may be added with each account.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry

from benchmarks.accounts import CARD, REQUEST
from benchmarks.bench import Bench
from benchmarks.http_calls import an_output
from benchmarks.peers.postgres import MISSING, connected, postgres_at, programs
from benchmarks.result import Result, at_most
from benchmarks.servers import child, wait_until
from gateway.archive.archivist import Archivist
from gateway.archive.figures import ArchivistFigures
from gateway.archive.migrating import migrate
from gateway.clock import CLOCK
from gateway.domain import (
    Bucket,
    EventType,
    FailureCode,
    Interval,
    Scope,
    generation_id,
    operation_id,
    partition_of_account,
    webhook_id,
)
from gateway.ledger.accounts import key_id_of
from gateway.ledger.audit import audit
from gateway.ledger.audit.keyspace import read_key
from gateway.ledger.audit_log import OperatorCall
from gateway.ledger.ledger import Ledger
from gateway.ledger.payments import Paid
from gateway.ledger.policy_of_card import policy_of, terms_of
from gateway.ledger.trimming import trim_all
from gateway.ledger.webhooks import Due, Try
from gateway.local.embedded import durable_arguments, find_redis
from gateway.redis_link.connections import connect_ledger

DAYS = 365
DAYS_QUICK = 70
SETTLED = 50
JOINING = 2  # accounts, each day
BUSY_DAYS = 14
PARTITIONS = 4
KEEP_DAYS = 7
_DIFFERENCES_SHOWN = 5
_DAY_MS = 86_400_000
_FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
_HAS_FAKETIME = Path(_FAKETIME).exists()
_MISSING = "libfaketime is not installed (Debian: apt install faketime): what needs it was not run"


@dataclass(slots=True)
class Content:
    """What a Redis holds, by kind of key."""

    accounts: int
    keys: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    bytes: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True, slots=True)
class Year:
    """One ledger, its archivist, and the clock of both."""

    ledger: Ledger
    archivist: Archivist
    clock: Path

    async def turn(self, day: int) -> None:
        """Move the clock to a day."""
        before = await self.ledger.time()
        await asyncio.to_thread(self.clock.write_text, f"+{day}d")
        while day and await self.ledger.time() < before + _DAY_MS // 2:  # noqa: ASYNC110 - another process's clock
            await asyncio.sleep(0.01)
        await CLOCK.measure(self.ledger.time)

    async def join(self, number: int) -> None:
        """A new account with a key; some have a webhook, a plan, a purchase."""
        name, ledger = f"year-{number:06}", self.ledger
        await ledger.put_account(account=name, email=f"{name}@example.com")
        await ledger.add_key(key=f"fbx_year{number:036}", scope=Scope.ACCOUNT, account=name, label="laptop")
        await ledger.grant(
            account=name, operation=operation_id(), bucket=Bucket.TOP_UP, millicredits=10**7, expires_at=None,
            reason="welcome",
        )  # fmt: skip
        if number % 3 == 0:
            await ledger.listen(
                webhook=webhook_id(), account=name, url="https://example.com/hook", events=list(EventType),
                description="", mark="",
            )  # fmt: skip
        if number % 5 == 0:
            await self._buy(name)
        call = OperatorCall(request=f"req_{number}", key="key_ops", address="::1", action="put_account", account=name)
        await ledger.log_call(replace(call, status=200), begun=await ledger.log_call(call))

    async def _buy(self, name: str) -> None:
        """A plan, and a bundle, which only a plan's accounts may buy."""
        await self.ledger.subscribe(account=name, operation=operation_id(), plan="basic", interval=Interval.MONTHLY)
        checkout = f"chk_{operation_id()}"
        await self.ledger.check_out(
            account=name, checkout=checkout, keys_version=None, kind="bundle", what="small", interval=None,
            name="Small", millicredits=10**6, price=Decimal("5.00"), currency="USD", provider="local", live=False,
        )  # fmt: skip
        paid = await self.ledger.pay(account=name, checkout=checkout, ref="paid")
        if not isinstance(paid, Paid):
            raise TypeError(f"not paid: {paid}")

    async def generate(self, number: int, *, succeeds: bool) -> None:
        """One generation with a key and a tag, to its end."""
        name, ledger = f"year-{number:06}", self.ledger
        generation = generation_id(partition_of_account(name, PARTITIONS))
        await ledger.reserve(
            account=name, generation=generation, request=replace(REQUEST, tags={"project": "apollo"}),
            terms=terms_of(CARD, REQUEST.tool), pro=False, keys_version=0, operation=operation_id(),
            key=key_id_of(f"fbx_year{number:036}"), idempotency=(operation_id(), "0" * 64),
        )  # fmt: skip
        await ledger.begin(generation=generation, attempt=1, operation=operation_id())
        if succeeds:
            await ledger.deliver(generation=generation, attempt=1, output=an_output(generation))
        failure = None if succeeds else FailureCode.PROVIDER_REJECTED
        await ledger.settle(generation=generation, attempt=1, operation=operation_id(), failure=failure)

    async def end_of_day(self) -> None:
        """What the archivist and the caretaker do, and a day of the audit."""
        for partition in range(PARTITIONS):
            while ended := await self.ledger.claim_outputs(partition=partition, limit=100, claim_ms=60_000):
                for generation in ended:
                    await self.ledger.outputs_deleted(generation=generation)
            for due in await self.ledger.due_webhooks(partition=partition, limit=1_000):
                await self._deliver(due)
        while (await self.archivist.round())[0]:
            pass
        await trim_all(self.ledger, rest=0)

    async def _deliver(self, due: Due) -> None:
        """What a webhook sender does, at a receiver that accepts everything."""
        while claimed := await self.ledger.claim_deliveries(due=due, claim="year", for_ms=60_000, limit=100):
            for delivery in claimed.deliveries:
                await self.ledger.tried(
                    due=due, claim="year", event=delivery.event, outcome="delivered",
                    result=Try(at=await self.ledger.time(), status_code=200, word=None, duration_ms=5),
                    jitter_thousandths=0,
                )  # fmt: skip

    async def content(self, accounts: int) -> Content:
        """All keys by kind, with their memory. Reading them also removes what has expired."""
        found, cursor = Content(accounts), 0
        while True:
            cursor, names = await self.ledger.redis.scan(cursor, count=500)
            async with self.ledger.redis.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.memory_usage(name, samples=0)
                sizes = await pipeline.execute()
            for name, size in zip(names, sizes, strict=True):
                if size is not None:
                    kind = _kind(name.decode())
                    found.keys[kind] += 1
                    found.bytes[kind] += size
            if cursor == 0:
                return found


async def measure(bench: Bench) -> Sequence[Result]:
    """Live through it, and compare the end with the day when everything had expired once."""
    found = programs()
    if found is None or not _HAS_FAKETIME:
        return [Result(what="year", figures=[0.0], unit="B", target=None, note=_MISSING if found else MISSING)]
    days = bench.size(DAYS, DAYS_QUICK)
    with ExitStack() as running:
        postgres = running.enter_context(postgres_at(found))
        (await connected(postgres)).terminate()
        url = f"postgresql://postgres@/postgres?host={postgres.sockets}"
        socket, clock = running.enter_context(_redis_on_a_clock())
        async with _opened(url, socket, clock) as year:
            contents = await _live(year, days, lambda day: bench.say(f"day {day} of {days}"))
            report = await audit(year.ledger, rest=0)
    return _results(contents[0], contents[1], days, [*map(str, report.differences), *report.unproved])


async def _live(year: Year, days: int, say: Callable[[int], None]) -> list[Content]:
    contents = []
    for day in range(days):
        say(day + 1)
        await year.turn(day)
        for number in range(day * JOINING, (day + 1) * JOINING):
            await year.join(number)
        for number in range(max(0, (day - BUSY_DAYS + 1) * JOINING), (day + 1) * JOINING):
            await year.generate(number, succeeds=(number + day) % 4 != 0)
        await year.end_of_day()
        if day + 1 in {SETTLED, days}:
            contents.append(await year.content((day + 1) * JOINING))
    return contents


def _results(settled: Content, end: Content, days: int, differences: Sequence[str]) -> list[Result]:
    joined = end.accounts - settled.accounts
    grown = {kind: end.bytes[kind] - settled.bytes[kind] for kind in end.bytes}

    def for_each(*kinds: str) -> list[float]:
        return [sum(grown.get(kind, 0) for kind in kinds) / joined]

    shown = {kind: f"{settled.keys[kind]:,} keys, {settled.bytes[kind]:,} B on day {SETTLED}" for kind in grown}
    others = grown.keys() - _IDLE - _OF_DAYS - _OF_PURCHASES
    return [
        Result(what="year, an idle account", figures=for_each(*_IDLE), unit="B", target=None),
        Result(what="year, purchases, for each account", figures=for_each(*_OF_PURCHASES), unit="B", target=None),
        Result(what="year, margin, for each day", unit="B", target=None,
               figures=[sum(grown.get(kind, 0) for kind in _OF_DAYS) / (days - SETTLED)]),
        Result(what="year, all else, for each account", figures=for_each(*others), unit="B", target=at_most(_NOISE)),
        Result(what="year, differences in the audit", figures=[len(differences)], unit="", target=at_most(0),
               note="; ".join(differences[:_DIFFERENCES_SHOWN])),
        *(Result(what=f"year, {kind}: grown since day {SETTLED}", figures=[grown[kind]], unit="B", target=None,
                 note=f"{shown[kind]}; {end.keys[kind]:,} keys, {end.bytes[kind]:,} B on day {days}")
          for kind in sorted(grown, key=lambda kind: -grown[kind])),
    ]  # fmt: skip


_IDLE = frozenset({"account", "journal", "webhook", "key", "email"})
"""What an idle account is: its fields, its newest journal entry, its webhooks, and what leads to it."""

_OF_PURCHASES = frozenset({"checkout", "checkout_owner", "purchases"})
"""Kept for 400 days: a payment may be refunded."""

_OF_DAYS = frozenset({"margin"})
"""Kept for 402 days, whatever the number of accounts."""

_NOISE = 50  # one day is not like another


def _kind(name: str) -> str:
    key = read_key(name, PARTITIONS)
    if key is not None and key.kind is not None:
        return key.kind.name
    return ":".join(name.split(":")[:2])


@asynccontextmanager
async def _opened(url: str, socket: Path, clock: Path) -> AsyncIterator[Year]:
    ledger = Ledger(connect_ledger(f"unix://{socket}"), partitions=PARTITIONS)
    await ledger.start()
    await ledger.publish(replace(policy_of(CARD), keep_archived_ms=KEEP_DAYS * _DAY_MS))
    await migrate(url)
    archivist = Archivist(ledger, url, ArchivistFigures(CollectorRegistry()))
    await archivist.writer.claim()
    await ledger.switch_archive(on=True)
    try:
        yield Year(ledger, archivist, clock)
    finally:
        await archivist.writer.close()
        await ledger.close()


@contextmanager
def _redis_on_a_clock() -> Iterator[tuple[Path, Path]]:
    """A Redis whose time is that of a file, such as `+12d`; its socket, and the file."""
    with TemporaryDirectory(prefix="farebox-bench-", ignore_cleanup_errors=True) as folder:
        socket, clock = Path(folder, "redis.sock"), Path(folder, "clock")
        clock.write_text("+0d")
        settings = {
            "LD_PRELOAD": _FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip
        command = [find_redis().path, *durable_arguments(), "--appendfsync", "no", "--dir", folder]
        command += ["--unixsocket", str(socket), "--port", "0"]
        with child([str(part) for part in command], environment=settings) as process:
            wait_until(socket.exists, process)
            yield socket, clock
