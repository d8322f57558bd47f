"""Writes what the ledger has for the archive: one transaction for a batch, with the cursors of its accounts.

An entry is written if it is after its account's cursor, `last_entry`, which moves in the same transaction: so each is
written once, in order, however often a batch is repeated. The primary key would refuse a second one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from gateway.archive.comparing import LostEntries, find_taken_back, take_out
from gateway.archive.connection import SCHEMA, connect, time_limit, translated
from gateway.archive.rows import ENTRY_COLUMNS, GENERATION_COLUMNS, Row, as_json, entry_row, generation_row, moment
from gateway.domain import EntryKind, partition_of_account
from gateway.errors import ArchiveUnavailable

if TYPE_CHECKING:
    from asyncpg import Connection

    from gateway.ledger.archiving import Changes

ApiKeys = Mapping[str, str]
"""Key id → its record, as stored in `fb:key:<id>`."""

_ACCOUNT_COLUMNS = (
    "account", "partition", "last_entry", "at_entry", "copied_at", "fields", "api_keys", "webhooks", "billing",
)  # fmt: skip
_HOUR_MS = 3_600_000
WRITE_SECONDS = 120.0
"""For a batch, which takes less than one: a PostgreSQL that hangs is an archive that is away."""

_KIND, _GENERATION = ENTRY_COLUMNS.index("kind"), ENTRY_COLUMNS.index("generation")
_USAGE_COLUMNS = ("account", "day", "sums", "by_key", "by_tag")
_STAGED = {"generations": GENERATION_COLUMNS, "usage": _USAGE_COLUMNS, "accounts": _ACCOUNT_COLUMNS}
_STAGE = "CREATE TEMPORARY TABLE IF NOT EXISTS staged_{0} (LIKE {0}) ON COMMIT DELETE ROWS"
_MERGES = {
    "generations": """
        INSERT INTO generations SELECT * FROM staged_generations
        ON CONFLICT (id, created_at) DO UPDATE SET state = excluded.state, committed = excluded.committed,
            refunded = excluded.refunded, version = excluded.version, finished_at = excluded.finished_at,
            fields = excluded.fields
        WHERE excluded.version >= generations.version
    """,
    "usage": """
        INSERT INTO usage SELECT * FROM staged_usage
        ON CONFLICT (account, day)
        DO UPDATE SET sums = excluded.sums, by_key = excluded.by_key, by_tag = excluded.by_tag
    """,
    # While a long journal is copied in parts, what an account is stays as it was when its copy was last whole.
    "accounts": """
        INSERT INTO accounts AS known SELECT * FROM staged_accounts
        ON CONFLICT (account) DO UPDATE SET
            last_entry = greatest(known.last_entry, excluded.last_entry),
            copied_at = excluded.copied_at,
            at_entry = CASE WHEN excluded.fields IS NULL THEN known.at_entry ELSE excluded.at_entry END,
            api_keys = CASE WHEN excluded.fields IS NULL THEN known.api_keys ELSE excluded.api_keys END,
            webhooks = CASE WHEN excluded.fields IS NULL THEN known.webhooks ELSE excluded.webhooks END,
            billing = CASE WHEN excluded.fields IS NULL THEN known.billing ELSE excluded.billing END,
            fields = coalesce(excluded.fields, known.fields)
    """,
}
_NOTE = """
    INSERT INTO state (name, value) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""


CLAIM = f"{SCHEMA} archivist"
GAPS = "gaps"
"""The name in `state` of what is known of gaps."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What one transaction wrote. `gaps`: account → the first entry that is nowhere, between two that are here."""

    accounts: int
    entries: int
    generations: int
    gaps: Mapping[str, int]


@dataclass(slots=True)
class ArchiveWriter:
    """One connection, opened again after an error. Only one process writes: `claim` waits for it."""

    url: str
    partitions: int
    _connection: Connection | None = None
    _is_claimed: bool = False
    _months: set[str] = field(default_factory=set)

    async def connection(self) -> Connection:
        """The open connection; ArchiveUnavailable if PostgreSQL does not respond."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self.url)
            with self._using("prepare"):
                for table in _STAGED:
                    await self._connection.execute(_STAGE.format(table))
        return self._connection

    async def claim(self) -> bool:
        """Whether this process is the one that writes. The claim ends with its connection."""
        connection = await self.connection()
        with self._using("claim"):
            claimed = await connection.fetchval("SELECT pg_try_advisory_lock(hashtext($1))", CLAIM)
        self._is_claimed = bool(claimed)
        return self._is_claimed

    async def close(self) -> None:
        """Close the connection, which gives up the claim."""
        self._drop()

    async def cursors(self, accounts: Sequence[str]) -> dict[str, int]:
        """The last entry that the archive has of each of these accounts; those it does not have are left out."""
        connection = await self._claimed()
        with self._using("cursors"):
            known = await connection.fetch(
                "SELECT account, last_entry FROM accounts WHERE account = ANY($1)", list(accounts)
            )
        return {row["account"]: row["last_entry"] for row in known}

    async def state(self, name: str) -> Any:
        """A value of `state`; None if there is none."""
        connection = await self._claimed()
        with self._using("state"):
            text = await connection.fetchval("SELECT value FROM state WHERE name = $1", name)
        return None if text is None else from_json(text)

    async def note(self, name: str, value: object) -> None:
        """Write a value of `state`."""
        connection = await self._claimed()
        with self._using("state"):
            await connection.execute(_NOTE, name, as_json(value))

    async def taken_back(self, change: Changes) -> LostEntries | None:
        """What the archive has of an account and the ledger no longer has: it was set back."""
        connection = await self._claimed()
        with self._using("compare"):
            return await find_taken_back(connection, change)

    async def take_out(self, found: LostEntries, now: datetime) -> None:
        """Take that out; its text stays in `state`."""
        connection = await self._claimed()
        with self._using("take out"):
            async with connection.transaction():
                await take_out(connection, found, now)

    async def store_calls(self, rows: Sequence[Row], *, cursor: str) -> None:
        """Write entries of the audit log, each in place of an earlier one of its request, with the cursor."""
        connection = await self._claimed()
        with self._using("store calls"):
            await self._make_months(connection, {f"audit_log {at:%Y-%m}-01" for _, at, _, _ in rows})
            async with connection.transaction():
                await connection.executemany(
                    "DELETE FROM audit_log WHERE request = $1 AND id < $2",
                    [(request, logged) for logged, _, request, _ in rows],
                )
                await connection.executemany(
                    "INSERT INTO audit_log (id, at, request, call) VALUES ($1, $2, $3, $4) "
                    "ON CONFLICT (id, at) DO NOTHING",
                    rows,
                )
                await connection.execute(_NOTE, "audit_log", as_json(cursor))

    async def store(
        self,
        changes: Sequence[Changes],
        api_keys: Mapping[str, ApiKeys],
        cursors: Mapping[str, int],
        now: datetime,
    ) -> Stored:
        """Write a batch, all or nothing. `api_keys` and `cursors`: by account."""
        from asyncpg import UniqueViolationError  # noqa: PLC0415 - an extra

        connection = await self._claimed()
        with self._using("store"):
            await self._make_months(connection, _months_of(changes))
            try:
                async with connection.transaction():
                    return await self._store(connection, changes, api_keys, cursors, now)
            except UniqueViolationError:  # a generation from before the archive was copied before its reservation
                async with connection.transaction():
                    return await self._store(connection, changes, api_keys, cursors, now, merges_all=True)

    def _drop(self) -> None:
        connection, self._connection, self._is_claimed = self._connection, None, False
        self._months.clear()  # what comes next may be a restored backup
        if connection is not None:
            connection.terminate()

    @contextlib.contextmanager
    def _using(self, what: str) -> Iterator[None]:
        """Translate errors, and close the connection after any: whatever state it is in, a new one is clean."""
        try:
            with translated(what), time_limit(self._connection, WRITE_SECONDS):
                yield
        except BaseException:
            self._drop()
            raise

    async def _claimed(self) -> Connection:
        """The connection that has the claim; ArchiveUnavailable if it was lost: somebody else may write then."""
        if not self._is_claimed or self._connection is None or self._connection.is_closed():
            await self.close()
            raise ArchiveUnavailable("the connection to the archive was lost")
        return self._connection

    async def _store(
        self,
        connection: Connection,
        changes: Sequence[Changes],
        api_keys: Mapping[str, ApiKeys],
        cursors: Mapping[str, int],
        now: datetime,
        *,
        merges_all: bool = False,
    ) -> Stored:
        entries, gaps = new_entries(changes, cursors)
        # One whose reservation is among the new entries is new, too: it needs no merging, which takes twice as long.
        new = set() if merges_all else {row[_GENERATION] for row in entries if row[_KIND] == EntryKind.RESERVE}
        rows = [generation_row(change.account, one) for change in changes for one in change.generations]
        fresh = [row for row in rows if row[0] in new]
        generations = [row for row in rows if row[0] not in new]
        usage = [
            (change.account, date.fromisoformat(one.day), as_json(one.sums), as_json(one.by_key), as_json(one.by_tag))
            for change in changes
            for one in change.usage
        ]
        accounts = [
            self._account_row(change, api_keys.get(change.account, {}), now)
            for change in changes
            if change.stored is not None
        ]
        await connection.copy_records_to_table("entries", columns=ENTRY_COLUMNS, records=entries)
        await connection.copy_records_to_table("generations", columns=GENERATION_COLUMNS, records=fresh)
        for table, merged in {"generations": generations, "usage": usage, "accounts": accounts}.items():
            if merged:
                await connection.copy_records_to_table(f"staged_{table}", columns=_STAGED[table], records=merged)
                await connection.execute(_MERGES[table])
        if gaps:
            await _note_gaps(connection, gaps, now)
        return Stored(len(accounts), len(entries), len(fresh) + len(generations), gaps)

    def _account_row(self, change: Changes, api_keys: ApiKeys, now: datetime) -> Row:
        stored = change.stored
        own: tuple[Any, ...] = (None,) * 4
        if change.whole and stored is not None:
            own = as_json(stored.fields), as_json(api_keys), as_json(stored.webhooks), as_json(stored.billing)
        partition = partition_of_account(change.account, self.partitions)
        at_entry = change.last_entry if change.whole else None
        return change.account, partition, change.last_entry, at_entry, now, *own

    async def _make_months(self, connection: Connection, wanted: set[str]) -> None:
        """Create the monthly partitions that a batch needs, each once, such as `entries 2026-11-01`."""
        wanted = wanted - self._months
        for name in sorted(wanted):
            table, _, month = name.partition(" ")
            await make_month(connection, table, date.fromisoformat(month))
        self._months |= wanted


async def _note_gaps(connection: Connection, gaps: Mapping[str, int], now: datetime) -> None:
    """Note the newest gap and how many there have been, for `farebox doctor`: an archivist's metrics end with it."""
    known = await connection.fetchval("SELECT value FROM state WHERE name = $1", GAPS)
    number = len(gaps) + (0 if known is None else from_json(known)["number"])
    account, entry = list(gaps.items())[-1]
    newest = {"number": number, "account": account, "entry": entry, "at": now.isoformat(timespec="seconds")}
    await connection.execute(_NOTE, GAPS, as_json(newest))


def new_entries(changes: Sequence[Changes], cursors: Mapping[str, int]) -> tuple[list[Row], dict[str, int]]:
    """The rows of entries after the cursors, and the accounts with a gap between the cursor and the first of them."""
    rows: list[Row] = []
    gaps = {}
    for change in changes:
        after = cursors.get(change.account, 0)
        fresh = [row for row in (entry_row(change.account, text) for text in change.entries) if row[1] > after]
        if fresh and fresh[0][1] > after + 1 and after:
            gaps[change.account] = after + 1
        rows += fresh
    return rows, gaps


async def make_month(connection: Connection, table: str, month: date) -> None:
    """Attach a table's partition for a month, if there is none; one that was detached is attached again.

    A table that is created as a partition needs its parent to itself: it waits for all who read, such as `pg_dump`, and
    all who come to read wait for it. Attaching waits for no reader.
    """
    name, following = f"{table}_{month:%Y_%m}", date(month.year + month.month // 12, month.month % 12 + 1, 1)
    async with connection.transaction():
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        )
        if not await connection.fetchval("SELECT relispartition FROM pg_class WHERE oid = to_regclass($1)", name):
            await connection.execute(
                f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{month}') TO ('{following}')"
            )


def _months_of(changes: Iterable[Changes]) -> set[str]:
    """The tables and months of a batch."""
    days = {("usage", usage.day) for change in changes for usage in change.usage}
    for change in changes:
        times = {int(text.split("|", 2)[1]) // _HOUR_MS for text in change.entries}
        days |= {("entries", _day(hour)) for hour in times}
        created = {int(one.fields["created_at"]) // _HOUR_MS for one in change.generations}
        days |= {("generations", _day(hour)) for hour in created}
    return {f"{table} {day[:7]}-01" for table, day in days}


def _day(hour: int) -> str:
    return f"{moment(hour * _HOUR_MS):%Y-%m-%d}"
