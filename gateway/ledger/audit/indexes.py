"""Checks the sorted sets of generations: each member belongs there, and `totals` has the number of open ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from gateway.domain import OPEN_STATES, State, format_credits
from gateway.ledger import keys
from gateway.ledger.audit.keyspace import Key
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.rechecking import Findings, Moved
from gateway.ledger.audit.report import AuditDifference, DifferenceKind
from gateway.ledger.records import pairs

ROWS_AT_ONCE = 500
"""How many members of a sorted set one script reads, each with its generation."""

_DAY_MS = 86_400_000
_GENERATION_KEPT_MS = 29 * _DAY_MS
"""A day less than ended generations are kept: a missing one that is younger was lost."""

_OPEN = frozenset(map(str, OPEN_STATES))


@dataclass(frozen=True, slots=True)
class Row:
    """A member of a sorted set and its generation; `state` is "" if it does not exist."""

    generation: str
    score: int
    state: str
    account: str
    tool: str
    price: int


@dataclass(frozen=True, slots=True)
class IndexPage:
    """Some members, with Redis's time and the partition's totals at the same moment."""

    now: int
    totals: Mapping[str, int]
    rows: tuple[Row, ...]


async def read_index(reader: Reader, key: str) -> AsyncIterator[IndexPage]:
    """Iterate over a sorted set of generations. Members present throughout are read at least once, rarely twice."""
    cursor = "0"
    while True:
        _, (after, now, totals, *rows) = await reader.run("audit_index", key, cursor=cursor, limit=ROWS_AT_ONCE)
        texts = ([item.decode() for item in row] for row in rows)
        yield IndexPage(
            int(now),
            {name: int(count) for name, count in pairs(totals).items()},
            tuple(Row(text[0], int(float(text[1])), text[2], text[3], text[4], int(text[5])) for text in texts),
        )
        cursor = after.decode()
        if cursor == "0":
            return


async def check_index(reader: Reader, key: Key) -> Findings:
    """Check each member of a sorted set against its generation."""
    findings = Findings()
    async for page in read_index(reader, key.name):
        for row in page.rows:
            difference = _misplaced(key, row, page.now)
            if difference is not None:
                findings.differences.append(difference)
    return findings


async def check_totals(reader: Reader, partition: int) -> Findings:
    """Check `totals` against the open generations; Moved if they changed between several scripts."""
    counted, totals = Counter[str](), None
    async for page in read_index(reader, keys.deadlines(partition)):
        if totals is not None and page.totals != totals:
            raise Moved
        totals = page.totals
        for row in page.rows:
            if row.state in _OPEN:
                counted.update({"open": 1, "held": row.price, f"{row.state}:{row.tool}": 1})
    return Findings(_totals(partition, totals or {}, counted))


def _totals(partition: int, totals: Mapping[str, int], counted: Mapping[str, int]) -> list[AuditDifference]:
    names = {name for name in totals if "|" not in name} | set(counted)
    found = []
    for name in sorted(names - {"accounts"}):
        wanted, there = counted.get(name, 0), totals.get(name, 0)
        if wanted != there:
            texts = (format_credits(wanted), format_credits(there)) if name == "held" else (str(wanted), str(there))
            subject = f"{keys.totals(partition)}, field {name}"
            found.append(
                AuditDifference(kind=DifferenceKind.TOTALS, subject=subject, expected=texts[0], found=texts[1])
            )
    return found


def _misplaced(key: Key, row: Row, now: int) -> AuditDifference | None:
    name = "" if key.kind is None else key.kind.name
    there = f"its state is {row.state}" if row.state else "no such generation"
    match name:
        case "deadlines":
            right = row.state in _OPEN
            kind, expected = DifferenceKind.DEADLINE, "no deadline, because it is not open"
            there = f"a deadline, and {there}"
        case "waiting":
            tool = key.name.rpartition(":")[2]
            right = (row.state, row.account, row.tool) == (State.WAITING, key.account, tool)
            kind, expected = DifferenceKind.WAITING, f"only generations waiting for {tool} in the waiting room"
        case "outputs":
            # A generation that ended long ago may have expired while its outputs are still due.
            right = row.state not in _OPEN
            kind, expected = (
                DifferenceKind.OUTPUTS,
                "only ended generations among those whose outputs are to be deleted",
            )
        case _:
            gone = not row.state and row.score < now - _GENERATION_KEPT_MS
            right = gone or row.account == key.account
            kind, expected = DifferenceKind.RECENT, f"the generation that account {key.account} lists"
    if right:
        return None
    return AuditDifference(
        kind=kind,
        subject=f"generation {row.generation}",
        account=key.account or row.account or None,
        generation=row.generation,
        expected=expected,
        found=there,
    )
