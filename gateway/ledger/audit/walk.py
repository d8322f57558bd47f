"""Walks a whole ledger: key by key on each server, then the totals of each partition.

In memory at any time: one page of names (about KEYS_AT_ONCE), the data of CHECKS_AT_ONCE checks (each a page of a
journal, of generations or of a sorted set, and an account's grants), three numbers per partition, and what was earned
per partition, day and bucket. An account that lists more generations than one script reads adds the ids of its open
ones.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from gateway.domain import partition_of_account, partition_of_generation
from gateway.errors import LedgerBroken
from gateway.ledger import keys
from gateway.ledger.audit.accounts import check_account
from gateway.ledger.audit.belongings import check_keys
from gateway.ledger.audit.closed_days import Earnings
from gateway.ledger.audit.counting import AccountCount, check_account_count, created_at
from gateway.ledger.audit.generations import GENERATIONS_AT_ONCE, check_generations
from gateway.ledger.audit.indexes import check_index, check_totals, read_index
from gateway.ledger.audit.keyspace import Key, read_key
from gateway.ledger.audit.margins import Margins, check_margins
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.rechecking import Findings, recheck
from gateway.ledger.audit.report import DifferenceKind, Report
from gateway.ledger.audit.scanning import count_keys, scan
from gateway.ledger.audit.webhooks import check_webhook, check_webhook_index
from gateway.ledger.core import LedgerCore

CHECKS_AT_ONCE = 8
"""Checks in parallel: their scripts may share a pipeline, which Redis runs without serving other clients."""

Progress = Callable[[str, int, int], None]
"""Called with done, total, and "partitions" or "keys"; the number of keys changes meanwhile."""

_INDEXES = frozenset({"deadlines", "waiting", "outputs", "recent"})


async def audit(
    ledger: LedgerCore, *, account: str | None = None, progress: Progress | None = None, rest: float = 1.0
) -> Report:
    """Verify that everything in a live ledger is consistent, or name what is not; with `account`, only that account.

    It writes nothing and blocks nothing. `rest`: the pause after each reply, as a multiple of the reply's duration.
    A report about an unknown account has no accounts. LedgerUnavailable if a server does not respond, LedgerBroken if
    there is no ledger with these partitions.
    """
    reader = Reader(ledger, rest)
    await _check_shape(ledger)
    await reader.begin(await _now(ledger))
    walk = _LedgerWalk(reader, Report(at=reader.began_at), progress or _silent)
    await (walk.everything() if account is None else walk.one_account(account))
    walk.report.finished = await _now(ledger)
    return walk.report


class _LedgerWalk:
    def __init__(self, reader: Reader, report: Report, progress: Progress) -> None:
        self._reader = reader
        self.report = report
        self._progress = progress
        self._counts: list[AccountCount] = []
        self._wrong_deadlines: set[int] = set()
        self._earned: defaultdict[int, Earnings] = defaultdict(Earnings)
        self._margin = Margins()
        self._uncounted: set[int] = set()  # partitions with a journal or a margin that could not be read

    async def everything(self) -> None:
        partitions = range(self._reader.partitions)
        self._counts = [await AccountCount.of(self._reader, partition) for partition in partitions]
        seen, total = 0, await count_keys(self._reader)
        async for names in scan(self._reader):
            await self._page(names)
            seen += len(names)
            self._progress("keys", min(seen, total), total)
        self._progress("keys", total, total)
        for partition in partitions:
            await self._totals(partition)
            self._progress("partitions", partition + 1, len(partitions))
        await self._margins()

    async def _margins(self) -> None:
        """What journals and margin say was earned. Where an account is not as it should be, it says why they differ."""
        for partition in range(self._reader.partitions):
            if partition not in self._uncounted and self._margin.differences(partition, self._earned[partition]):
                check = partial(check_margins, self._reader, partition, self._margin.first)
                await self._check(_margin_of(partition), check)

    async def _totals(self, partition: int) -> None:
        if not self._counts[partition].agrees:
            check = partial(check_account_count, self._reader, partition)
            await self._check(f"{keys.totals(partition)}, accounts", check)
        # Open generations are counted by their deadlines. If those are wrong, the totals would be blamed for it.
        if partition not in self._wrong_deadlines:
            await self._check(keys.totals(partition), partial(check_totals, self._reader, partition))

    async def one_account(self, account: str) -> None:
        partition = partition_of_account(account, self._reader.partitions)
        place = self._reader.account_key(account)
        word, _ = await self._reader.run("audit_account", place, made_after=0, limit=0, ids="")
        if word == "gone":
            return
        names = [self._reader.account_key(account), keys.journal(partition, account), keys.recent(partition, account)]
        await self._page(names)
        async for page in read_index(self._reader, keys.recent(partition, account)):
            there = [row for row in page.rows if row.state]
            await self._generations([row.generation for row in there])
            waiting = {keys.waiting(partition, account, row.tool) for row in there}
            await self._indexes([key for name in waiting if (key := read_key(name, self._reader.partitions))])

    async def _page(self, names: Sequence[str]) -> None:
        found = {name: key for name in names if (key := read_key(name, self._reader.partitions)) is not None}
        by_kind: defaultdict[str, list[Key]] = defaultdict(list)
        for key in found.values():
            by_kind[key.kind.name if key.kind is not None else ""].append(key)
        self.report.keys += len(found)
        if found:
            await self._check("keys", partial(check_keys, self._reader, list(found.values())))
        await self._accounts([key.account for key in by_kind["account"] if key.account is not None])
        await self._generations([key.generation for key in by_kind["generation"] if key.generation is not None])
        await self._indexes([key for kind in _INDEXES for key in by_kind[kind]])
        await self._webhooks(by_kind["webhook"], by_kind["webhooks"])
        await self._read_margins(by_kind["margin"])

    async def _read_margins(self, margins: Sequence[Key]) -> None:
        by_partition: defaultdict[int, list[str]] = defaultdict(list)
        for key in margins:
            if key.partition is not None:
                by_partition[key.partition].append(key.name)
        for partition, names in by_partition.items():
            read = await self._check(_margin_of(partition), partial(self._margin.read, self._reader, names))
            if read is None or read.differences:
                self._uncounted.add(partition)

    async def _webhooks(self, webhooks: Sequence[Key], indexes: Sequence[Key]) -> None:
        checks = [(f"key {key.name}", partial(check_webhook, self._reader, key)) for key in webhooks]
        checks += [(f"key {key.name}", partial(check_webhook_index, self._reader, key)) for key in indexes]
        await self._together(checks)

    async def _accounts(self, accounts: Sequence[str]) -> None:
        self.report.accounts += len(accounts)
        moments = await created_at(self._reader, accounts)
        for account, moment in zip(accounts, moments, strict=True):
            partition = partition_of_account(account, self._reader.partitions)
            if self._counts:
                self._counts[partition].add(moment)
        for first in range(0, len(accounts), CHECKS_AT_ONCE):
            await asyncio.gather(*map(self._account, accounts[first : first + CHECKS_AT_ONCE]))

    async def _account(self, account: str) -> None:
        found = await self._check(f"account {account}", partial(check_account, self._reader, account))
        partition = partition_of_account(account, self._reader.partitions)
        if found is None or found.differences:
            self._uncounted.add(partition)
        else:
            self._earned[partition].update(found.earned)

    async def _generations(self, generations: Sequence[str]) -> None:
        of_partition: defaultdict[int, list[str]] = defaultdict(list)
        for generation in generations:
            of_partition[partition_of_generation(generation)].append(generation)
        checks = []
        for partition, names in of_partition.items():
            for first in range(0, len(names), GENERATIONS_AT_ONCE):
                page = names[first : first + GENERATIONS_AT_ONCE]
                checks.append((f"generations of {keys.tag(partition)}", partial(check_generations, self._reader, page)))
        await self._together(checks)

    async def _indexes(self, found: Sequence[Key]) -> None:
        await self._together([(f"key {key.name}", partial(check_index, self._reader, key)) for key in found])

    async def _together(self, checks: Sequence[tuple[str, Callable[[], Awaitable[Findings]]]]) -> None:
        for first in range(0, len(checks), CHECKS_AT_ONCE):
            page = checks[first : first + CHECKS_AT_ONCE]
            await asyncio.gather(*(self._check(subject, check) for subject, check in page))

    async def _check(self, subject: str, check: Callable[[], Awaitable[Findings]]) -> Findings | None:
        found = await recheck(subject, check)
        if found is None:
            self.report.could_not_prove(subject)
            return None
        self.report.generations += found.generations
        self.report.entries += found.entries
        for difference in found.differences:
            self.report.add(difference)
            if difference.kind is DifferenceKind.DEADLINE and difference.generation is not None:
                self._wrong_deadlines.add(partition_of_generation(difference.generation))
        return found


def _margin_of(partition: int) -> str:
    return f"margin of partition {partition:02x}"


async def _check_shape(ledger: LedgerCore) -> None:
    """Checks the ledger's metadata, which only `Ledger.start` writes."""
    found = await ledger.command("GET", keys.META)
    if found is None:
        raise LedgerBroken("there is no ledger here: no gateway has ever started on this Redis")
    _, partitions = found.decode().split(",")
    if int(partitions) != ledger.partitions:
        raise LedgerBroken(
            f"the ledger has {partitions} partitions, but this Farebox is configured for {ledger.partitions}"
        )


async def _now(ledger: LedgerCore) -> int:
    """Redis's time, in milliseconds."""
    return (await AccountCount.of(Reader(ledger, 0), 0)).moment


def _silent(_what: str, _done: int, _total: int) -> None:
    pass
