"""Checks one account: its balance against its journal, its held credits against its open generations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.domain import OPEN_STATES, Bucket, format_credits, partition_of_account
from gateway.ledger import keys, outcomes
from gateway.ledger.audit.indexes import read_index
from gateway.ledger.audit.journals import JournalReader
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.rechecking import Findings, Moved
from gateway.ledger.audit.report import AuditDifference, DifferenceKind
from gateway.ledger.audit.webhooks import missing_webhooks
from gateway.ledger.generation_records import decode_allocation
from gateway.ledger.journal_records import Entry
from gateway.ledger.records import BUCKETS, LETTERS, decode_entry, decode_grant, pairs
from gateway.redis_link.calls import Reply

GENERATIONS_AT_ONCE = 500
"""How many of an account's generations one script reads; takes about a millisecond."""

_OPEN = frozenset(map(str, OPEN_STATES))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An account and its open generations at one moment."""

    fields: Mapping[str, str]
    newest: Entry | None
    grants: Mapping[str, outcomes.Grant]
    held: Mapping[Bucket, int]
    open_held: Mapping[Bucket, int]
    open_held_of_grant: Mapping[str, int]
    open_counts: Mapping[str, int]

    @property
    def created_at(self) -> int:
        """When the account was created, in real time, which trimming uses even for test clocks."""
        return int(self.fields["created_at"])

    def available(self, bucket: Bucket) -> int:
        """A bucket's available credits: the sum of its grants."""
        return sum(grant.available_millicredits for grant in self.grants.values() if grant.bucket is bucket)


async def check_account(reader: Reader, account: str) -> Findings:
    """Check everything about one account. An account that no longer exists has nothing to check."""
    snapshot = await _snapshot(reader, account)
    if snapshot is None:
        return Findings()
    findings = Findings(
        [
            AuditDifference(
                kind=kind, subject=f"account {account}, {what}", account=account, expected=expected, found=found
            )
            for kind, what, expected, found in (*_balance(snapshot), *_held(snapshot), *_counts(snapshot))
        ]
    )
    findings.differences += await missing_webhooks(reader, account, snapshot.fields.get("webhooks", ""))
    journal = JournalReader(reader, account)
    available = {bucket: snapshot.available(bucket) for bucket in Bucket}
    findings.differences += await journal.check(snapshot.newest, available, snapshot.held, snapshot.created_at)
    findings.entries, findings.earned = journal.entries, journal.earned
    return findings


Finding = tuple[DifferenceKind, str, str, str]
"""A difference within an account: kind, subject, expected, found."""


def _balance(snapshot: Snapshot) -> list[Finding]:
    """R19: the newest entry's balance equals the sum of the grants."""
    newest, entries = snapshot.newest, int(snapshot.fields.get("entries", 0))
    found: list[Finding] = []
    if (newest.id if newest else 0) != entries:
        found.append(
            (DifferenceKind.JOURNAL, "newest entry", f"entry {entries}", f"entry {newest.id}" if newest else "none")
        )
    grants = sum(map(snapshot.available, Bucket))
    journal = newest.available_after_millicredits if newest else 0
    if grants != journal:
        wanted, there = f"{format_credits(journal)} by its journal", f"{format_credits(grants)} in its grants"
        found.append((DifferenceKind.BALANCE, "available credits", wanted, there))
    below = [
        name
        for name, grant in snapshot.grants.items()
        if min(grant.available_millicredits, grant.held_millicredits) < 0
    ]
    found += [(DifferenceKind.BALANCE, f"grant {name}", "no amount below zero", "one") for name in below]
    if (debt := int(snapshot.fields.get("debt", 1))) <= 0:
        found.append((DifferenceKind.BALANCE, "debt", "above zero, or none", format_credits(debt)))
    held = sum(snapshot.held.values())
    journal = newest.held_after_millicredits if newest else 0
    if held != journal:
        wanted, there = f"{format_credits(journal)} by its journal", format_credits(held)
        found.append((DifferenceKind.BALANCE, "held credits", wanted, there))
    return found


def _held(snapshot: Snapshot) -> list[Finding]:
    """Held credits, per bucket and per grant, equal the sum of the open generations' prices."""
    found: list[Finding] = []
    for bucket in Bucket:
        held, wanted = snapshot.held[bucket], snapshot.open_held.get(bucket, 0)
        if held != wanted:
            text = f"{format_credits(wanted)} by its open generations"
            found.append((DifferenceKind.HELD, f"held of bucket {bucket}", text, format_credits(held)))
    for name, grant in snapshot.grants.items():
        wanted = snapshot.open_held_of_grant.get(name, 0)
        if grant.held_millicredits != wanted:
            text = f"{format_credits(wanted)} by its open generations"
            found.append((DifferenceKind.HELD, f"held of grant {name}", text, format_credits(grant.held_millicredits)))
    return found


def _counts(snapshot: Snapshot) -> list[Finding]:
    """R14: `work:<tool>` and `waiting:<tool>` match the number of generations."""
    names = {name for name in snapshot.fields if name.startswith(("work:", "waiting:"))} | set(snapshot.open_counts)
    found: list[Finding] = []
    for name in sorted(names):
        counted, there = int(snapshot.fields.get(name, 0)), snapshot.open_counts.get(name, 0)
        if counted != there:
            kind = DifferenceKind.WORK if name.startswith("work:") else DifferenceKind.WAITING
            found.append((kind, f"field {name}", f"{there}, the actual number", str(counted)))
    return found


async def _snapshot(reader: Reader, account: str) -> Snapshot | None:
    """The account with all of its open generations; Moved if that took several scripts and it changed between them.

    A single script reads a short list of generations at once. A longer one is first searched for open generations;
    these and any created meanwhile are then read again together with the account.
    """
    key = reader.account_key(account)
    word, rest = await reader.run("audit_account", key, made_after=0, limit=GENERATIONS_AT_ONCE, ids="")
    if word == "gone":
        return None
    more, newest, flat, rows = rest
    fields, found = pairs(flat), _open(rows)
    if more == b"1":
        order = fields.get("order", "0")
        maybe_open = await _maybe_open(reader, account)
        chunks = [maybe_open[at : at + GENERATIONS_AT_ONCE] for at in range(0, len(maybe_open), GENERATIONS_AT_ONCE)]
        found, steady = {}, None
        for chunk in chunks or [[]]:
            word, (more, newest, flat, rows) = await reader.run(
                "audit_account", key, made_after=order, limit=GENERATIONS_AT_ONCE, ids=",".join(chunk)
            )
            fields = pairs(flat)
            seen = {name: value for name, value in fields.items() if not name.startswith("used:")}
            if more == b"1" or (steady is not None and seen != steady):
                raise Moved
            steady = seen
            found |= _open(rows)
    return _decode(fields, newest.decode(), list(found.values()))


async def _maybe_open(reader: Reader, account: str) -> list[str]:
    partition = partition_of_account(account, reader.partitions)
    found: dict[str, None] = {}
    async for page in read_index(reader, keys.recent(partition, account)):
        found |= dict.fromkeys(row.generation for row in page.rows if row.state in _OPEN)
    return list(found)


def _open(rows: Reply) -> dict[str, tuple[str, ...]]:
    """The open generations in a reply of `audit_account`: id → state, tool, price, allocation."""
    texts = [[item.decode() for item in row] for row in rows]
    return {row[0]: tuple(row[1:]) for row in texts if row[1] in _OPEN}


def _decode(fields: Mapping[str, str], newest: str, generations: Sequence[tuple[str, ...]]) -> Snapshot:
    held, held_of_grant, counts = Counter[Bucket](), Counter[str](), Counter[str]()
    for state, tool, _price, allocation in generations:
        counts[f"{'waiting' if state == 'waiting' else 'work'}:{tool}"] += 1
        for share in decode_allocation(allocation):
            held[share.bucket] += share.millicredits
            held_of_grant[share.grant] += share.millicredits
    grants = {name[6:]: decode_grant(name[6:], text) for name, text in fields.items() if name.startswith("grant:")}
    return Snapshot(
        fields=fields,
        newest=decode_entry(newest) if newest else None,
        grants=grants,
        held={bucket: int(fields.get(f"held:{LETTERS[bucket]}", 0)) for bucket in BUCKETS.values()},
        open_held=held,
        open_held_of_grant=held_of_grant,
        open_counts=counts,
    )
