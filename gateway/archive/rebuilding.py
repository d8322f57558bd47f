"""`farebox rebuild --from-archive`: makes a ledger on an empty Redis from what the archive has.

Accounts come back as they were after the entry `at_entry`, with their recent journal, generations and usage. What the
archive does not hold is derived: deadlines, waiting rooms, counts, totals. While it runs, the ledger says that it has
schema version 0, so no process starts on half of it. Interrupted, it goes on after the last account that was written.

In memory at any time: the accounts of one page, and some thousand rows of what belongs to them.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from gateway.archive.connection import connect, translated
from gateway.archive.restoring import (
    OPEN,
    Restorer,
    account_fields,
    as_of,
    beside,
    files,
    generation,
    leading_to,
    set_hash,
    usage,
)
from gateway.archive.rows import as_json, entry_text, fields_of, moment
from gateway.domain import partition_of_account
from gateway.errors import RebuildRefused
from gateway.ledger import keys
from gateway.ledger.archiving import Command
from gateway.ledger.ledger import REBUILDING, Ledger

if TYPE_CHECKING:
    from asyncpg import Connection

    from gateway.ledger.policy import Policy

ACCOUNTS_AT_ONCE = 500
_ROWS_AT_ONCE = 1_000
_DAY_MS = 86_400_000
_DELETED_AFTER_MS = 30 * _DAY_MS  # files are deleted by then; of what only the archive has, nobody notes it

Progress = Callable[[int, int], None]
"""Called with how many accounts are written, of how many."""


@dataclass(slots=True)
class Rebuilt:
    """What was written. `incomplete`: accounts that the archive has no whole copy of, so they are missing.

    `cut`: accounts whose last entries were copied without what belongs to them; they come back as before those.
    """

    accounts: int = 0
    entries: int = 0
    generations: int = 0
    open: int = 0
    incomplete: int = 0
    cut: int = 0


@dataclass(slots=True)
class Rebuild:
    """One rebuild. `policy` is the rate card's; it says what stays in Redis."""

    ledger: Ledger
    url: str
    policy: Policy
    now: int
    done: Rebuilt = field(default_factory=Rebuilt)
    restorer: Restorer = field(init=False)

    def __post_init__(self) -> None:
        self.restorer = Restorer(self.ledger)

    @property
    def kept_from(self) -> int:
        """What ended before this stays in the archive only."""
        kept_ms = self.policy.keep_archived_ms
        return self.now - (40 * _DAY_MS if kept_ms is None else kept_ms)

    async def run(self, progress: Progress = lambda _done, _of: None) -> Rebuilt:
        """Write everything; RebuildRefused if the ledger is not empty, ArchiveUnavailable, LedgerUnavailable."""
        archive = await connect(self.url)
        try:
            after = await self._begin(archive)
            total = await archive.fetchval("SELECT count(*) FROM accounts")
            written = await archive.fetchval("SELECT count(*) FROM accounts WHERE account <= $1", after)
            while rows := await archive.fetch(_ACCOUNTS, after, ACCOUNTS_AT_ONCE):
                with translated("rebuild"):
                    await self._write_accounts(archive, rows)
                after = rows[-1]["account"]
                await _note(archive, after)
                written += len(rows)
                progress(written, total)
            await self._finish(archive)
        finally:
            archive.terminate()
        return self.done

    async def _begin(self, archive: Connection) -> str:
        """Claim the empty ledger, or find where an interrupted rebuild of it goes on."""
        mark = f"{REBUILDING},{self.ledger.partitions}"
        found = await self.ledger.command("GET", keys.META)
        if found is not None and found.decode() == mark:
            noted = await archive.fetchval("SELECT value FROM state WHERE name = 'rebuild'")
            return "" if noted is None else str(fields_of(noted)["after"])
        if found is not None or await self._has_anything():
            raise RebuildRefused(
                "the ledger is not empty: a rebuild writes to an empty Redis only. Set FAREBOX_LEDGER_URL to a new "
                "one, or empty this one if you are sure that the archive has everything."
            )
        await _note(archive, "")
        await self.ledger.command("SET", keys.META, mark)
        return ""

    async def _has_anything(self) -> bool:
        for partition in range(self.ledger.partitions):
            names = (keys.policy(partition), keys.totals(partition))
            if any([await self.ledger.command("EXISTS", name) for name in names]):
                return True
        return False

    async def _write_accounts(self, archive: Connection, rows: Sequence[Any]) -> None:
        whole = {row["account"]: row for row in rows if row["fields"] is not None}
        self.done.incomplete += len(rows) - len(whole)
        for account, row in whole.items():
            if row["at_entry"] < row["last_entry"]:
                self.done.cut += 1
                await archive.execute("DELETE FROM entries WHERE account = $1 AND id > $2", account, row["at_entry"])
                await archive.execute("UPDATE accounts SET last_entry = at_entry WHERE account = $1", account)
        since = moment(self.kept_from)
        await self._write_journals(archive, whole, since)
        opened = await self._write_generations(archive, whole, since)
        async for row in _each(archive, _FILES, list(whole), since, moment(self.now - _DELETED_AFTER_MS)):
            await self._add(self._partition(row["account"]), files(row["id"], fields_of(row["fields"])))
        kept_ms = self.policy.keep_archived_ms or 400 * _DAY_MS
        async for row in _each(archive, _USAGE, list(whole), since.date()):
            partition = self._partition(row["account"])
            await self._add(partition, usage(partition, row, kept_ms))
        for account, row in whole.items():
            partition, fields = self._partition(account), account_fields(row, opened[account])
            await self._add(partition, set_hash(keys.account(partition, account), fields))
            await self._add(partition, beside(partition, row))
            await self._add(None, leading_to(row, fields, self.now))
        await self.restorer.flush()
        self.done.accounts += len(whole)

    async def _write_journals(self, archive: Connection, accounts: dict[str, Any], since: datetime) -> None:
        for account in accounts:
            partition = self._partition(account)
            await self.restorer.add(partition, ("DEL", keys.journal(partition, account)))
        async for row in _each(archive, _ENTRIES, list(accounts), since):
            partition = self._partition(row["account"])
            await self.restorer.add(partition, ("RPUSH", keys.journal(partition, row["account"]), entry_text(row)))
            self.done.entries += 1

    async def _write_generations(
        self, archive: Connection, accounts: dict[str, Any], since: datetime
    ) -> defaultdict[str, Counter[str]]:
        """Write them as their accounts knew them; how many are open, by account and its field for that."""
        opened: defaultdict[str, Counter[str]] = defaultdict(Counter)
        unknown: list[str] = []  # ordered after what came back: the ledger that is made now has never heard of them
        async for row in _each(archive, _GENERATIONS, list(accounts), since):
            account = row["account"]
            fields = as_of(fields_of(row["fields"]), accounts[account]["at_entry"])
            if fields is None:
                unknown.append(row["id"])
                continue
            partition = self._partition(account)
            await self._add(partition, generation(account, row["id"], row["place"], fields, self.now))
            self.done.generations += 1
            if fields["state"] in OPEN:
                self.done.open += 1
                word = "waiting" if fields["state"] == "waiting" else "work"
                opened[account][f"{word}:{fields['tool']}"] += 1
        if unknown:
            await archive.execute("DELETE FROM generations WHERE id = ANY($1)", unknown)
        return opened

    def _partition(self, account: str) -> int:
        return partition_of_account(account, self.ledger.partitions)

    async def _add(self, partition: int | None, commands: Iterable[Command]) -> None:
        for command in commands:
            await self.restorer.add(partition, command)

    async def _finish(self, archive: Connection) -> None:
        """Totals, operators' keys, the policy; then the ledger is one."""
        await self._write_totals(archive)
        operators = await archive.fetchval("SELECT value FROM state WHERE name = 'operators'")
        if operators is not None:
            known = fields_of(operators)
            await self._add(None, set_hash(keys.OPERATORS, known["listed"]))
            await self._add(None, (("SET", keys.key(name), record) for name, record in known["records"].items()))
            await self.restorer.flush()
        await self.ledger.publish(self.policy)
        await self.ledger.switch_archive(on=True)
        noted: dict[str, Any] = {row["name"]: from_json(row["value"]) for row in await archive.fetch(_NOTED)}
        await self.ledger.note_archive_heartbeat(int(noted.get("heartbeat", 0)))
        if "ledger" in noted:
            await self.ledger.note_archived_as(str(noted["ledger"]))
        for partition in range(self.ledger.partitions):  # journals begin anywhere
            await self.restorer.add(partition, ("HSET", keys.policy(partition), "keep:journal_least", "0"))
        await self.restorer.flush()
        await self.ledger.finish_rebuild()
        await archive.execute("DELETE FROM state WHERE name = 'rebuild'")

    async def _write_totals(self, archive: Connection) -> None:
        accounts = await archive.fetch(
            "SELECT partition, count(*) AS number FROM accounts WHERE fields IS NOT NULL GROUP BY partition"
        )
        totals: defaultdict[int, Counter[str]] = defaultdict(Counter)
        for row in accounts:
            totals[row["partition"]]["accounts"] = row["number"]
        for row in await archive.fetch(_OUTCOMES):
            outcome = "|".join(("outcome", row["tool"], row["model"], row["state"], row["code"]))
            totals[int(row["home"], 16)][outcome] = row["number"]
        for partition in range(self.ledger.partitions):
            await self._count_open(partition, totals[partition])
            sums = {name: str(number) for name, number in totals[partition].items()}
            await self._add(partition, set_hash(keys.totals(partition), sums))
        await self.restorer.flush()

    async def _count_open(self, partition: int, sums: Counter[str]) -> None:
        key, start = keys.deadlines(partition), 0
        while names := await self.ledger.command("ZRANGE", key, start, start + _ROWS_AT_ONCE - 1):
            start += len(names)
            found = await asyncio.gather(
                *(
                    self.ledger.command("HMGET", keys.generation(partition, name.decode()), "state", "tool", "price")
                    for name in names
                )
            )
            for state, tool, price in found:
                sums.update({"open": 1, "held": int(price), f"{state.decode()}:{tool.decode()}": 1})


async def _each(archive: Connection, statement: str, *values: Any) -> AsyncIterator[Any]:
    """The rows of a statement, some thousand at a time: an account may have millions."""
    async with archive.transaction(readonly=True):
        async for row in archive.cursor(statement, *values, prefetch=_ROWS_AT_ONCE):
            yield row


async def _note(archive: Connection, after: str) -> None:
    await archive.execute(
        "INSERT INTO state (name, value) VALUES ('rebuild', $1) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        as_json({"after": after}),
    )


_ACCOUNTS = """
    SELECT account, at_entry, last_entry, fields, api_keys, webhooks, billing FROM accounts
    WHERE account > $1 ORDER BY account LIMIT $2
"""
# Newest first, as the journal has them, and always the newest one.
_ENTRIES = """
    SELECT e.* FROM entries e JOIN accounts a USING (account)
    WHERE account = ANY($1) AND (e.at >= $2 OR e.id = a.at_entry) AND e.id <= a.at_entry
    ORDER BY account, e.id DESC
"""
# From the oldest that is kept on, all: the ledger's part of a list has no holes.
_GENERATIONS = """
    SELECT g.account, g.id, g.place, g.fields FROM generations g JOIN (
        SELECT account, min(place) AS first FROM generations
        WHERE account = ANY($1) AND (finished_at IS NULL OR finished_at >= $2) GROUP BY account
    ) kept ON g.account = kept.account AND g.place >= kept.first
"""
# Of what stays in the archive only, those whose files are still there: a plan may keep them for longer.
_FILES = """
    SELECT account, id, fields FROM generations
    WHERE account = ANY($1) AND finished_at < $2 AND NOT fields ? 'outputs_deleted'
    AND finished_at + split_part(fields->>'terms', ',', 5)::bigint * interval '1 millisecond' > $3
"""
_OUTCOMES = """
    SELECT substr(id, 5, 2) AS home, tool, model, state, fields->>'error' AS code, count(*) AS number
    FROM generations WHERE finished_at IS NOT NULL GROUP BY 1, 2, 3, 4, 5
"""
_NOTED = "SELECT name, value FROM state WHERE name IN ('heartbeat', 'ledger')"
_USAGE = "SELECT account, day, sums, by_key, by_tag FROM usage WHERE account = ANY($1) AND day >= $2"
