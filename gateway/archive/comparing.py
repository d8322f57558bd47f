"""Finds what the archive has of an account that the ledger no longer has, and takes it out.

A ledger is set back by a failover to a replica that was behind, or by a restored backup. What it writes then has ids
that the archive has already, of entries that are gone. The ledger is what counts; what is taken out stays in `state`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.archive.rows import ENTRY_COLUMNS, as_json, entry_row, entry_text
from gateway.domain import EntryKind

if TYPE_CHECKING:
    from asyncpg import Connection

    from gateway.ledger.archiving import Changes


@dataclass(frozen=True, slots=True)
class LostEntries:
    """An account's entries in the archive that are not the ledger's: from `first` on. `generations`: those they name.

    `made`: of these the ones whose reservation is among the entries.
    """

    account: str
    first: int
    entries: tuple[str, ...]
    generations: frozenset[str]
    made: frozenset[str]


async def find_taken_back(connection: Connection, change: Changes) -> LostEntries | None:
    """Compare what the archive has after `change.reached` with what the ledger has; None: nothing differs."""
    columns = ", ".join(ENTRY_COLUMNS)
    rows = await connection.fetch(
        f"SELECT {columns} FROM entries WHERE account = $1 AND id > $2 ORDER BY id",  # noqa: S608 - ours
        change.account,
        change.reached,
    )
    known = {row[1]: row for row in (entry_row(change.account, text) for text in change.entries)}
    end = change.last_entry if change.whole else None
    first = next(
        (
            row["id"]
            for row in rows
            if (end is not None and row["id"] > end) or known.get(row["id"], tuple(row)) != tuple(row)
        ),
        None,
    )
    if first is None:
        return None
    gone = [row for row in rows if row["id"] >= first]
    return LostEntries(
        change.account,
        first,
        tuple(map(entry_text, gone)),
        frozenset(row["generation"] for row in gone if row["generation"]),
        frozenset(row["generation"] for row in gone if row["kind"] == EntryKind.RESERVE),
    )


async def take_out(connection: Connection, found: LostEntries, now: datetime) -> None:
    """Take it out, in a transaction of the caller's. Its generations are written again when they are copied next."""
    before = found.first - 1
    name = f"taken back {found.account} {found.first} {now.isoformat()}"
    await connection.execute("INSERT INTO state (name, value) VALUES ($1, $2)", name, as_json(found.entries))
    await connection.execute("DELETE FROM entries WHERE account = $1 AND id > $2", found.account, before)
    await connection.execute(
        "DELETE FROM generations WHERE account = $1 AND id = ANY($2)", found.account, list(found.made)
    )
    await connection.execute(
        "UPDATE generations SET version = -1 WHERE account = $1 AND id = ANY($2)",
        found.account,
        list(found.generations),
    )
    await connection.execute(
        "UPDATE accounts SET last_entry = $2, at_entry = NULL, fields = NULL WHERE account = $1", found.account, before
    )
