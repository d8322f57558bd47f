"""Rows of the archive to the commands that write them to a ledger, many in one script."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from gateway.archive.rows import fields_of
from gateway.domain import partition_of_generation
from gateway.ledger import keys
from gateway.ledger.archiving import Command
from gateway.ledger.generation_records import outputs_kept_ms
from gateway.ledger.ledger import Ledger
from gateway.ledger.persons import PERSON_SECONDS

OPEN = frozenset({"waiting", "queued", "running"})
_DAY_MS = 86_400_000
_FAILED_SHOWN_MS = 30 * _DAY_MS
_MADE_BY_MS = 40 * _DAY_MS
_BILLING_MS = 400 * _DAY_MS
_WORDS_AT_ONCE = 60_000  # 3 MB: if all are of one partition, its script takes 30 ms
_FIELDS_AT_ONCE = 1_000
_END_FIELDS = ("committed", "refunded", "finished_at", "error", "charged", "booked")
_CORRECTION_FIELDS = ("given_back", "given_back_by", "given_back_on")


@dataclass(slots=True)
class Restorer:
    """Collects commands and sends them: one script for each partition, so that Redis answers once for hundreds."""

    ledger: Ledger
    _words: int = 0
    _of: defaultdict[int, list[Command]] = field(default_factory=lambda: defaultdict(list))
    _alone: list[Command] = field(default_factory=list)

    async def add(self, partition: int | None, command: Command) -> None:
        """Add a command of a partition, or of none; it is sent when there are enough, or by `flush`."""
        (self._alone if partition is None else self._of[partition]).append(command)
        self._words += len(command)
        if self._words >= _WORDS_AT_ONCE:
            await self.flush()

    async def flush(self) -> None:
        """Send everything. LedgerUnavailable if Redis does not take it."""
        restored, alone = self._of, self._alone
        self._of, self._alone, self._words = defaultdict(list), [], 0
        await asyncio.gather(
            *(self.ledger.restore(partition, commands) for partition, commands in restored.items()),
            self.ledger.commands(alone),
        )


def account_fields(row: Any, opened: Mapping[str, int]) -> dict[str, str]:
    """An account's fields; `opened`: how many generations are in work or wait, by field."""
    stored = fields_of(row["fields"])
    fields = {name: value for name, value in stored.items() if not name.startswith(("work:", "waiting:"))}
    counted = {name: str(number) for name, number in opened.items()}
    return fields | counted | {"archived": f"{row['at_entry']},{fields.get('time', 0)}"}


def set_hash(key: str, fields: Mapping[str, str], kept_ms: int | None = None) -> Iterator[Command]:
    """The commands that make a hash what it is to be, whatever it was."""
    yield "DEL", key
    left = iter(fields.items())
    while some := list(islice(left, _FIELDS_AT_ONCE)):
        yield "HSET", key, *(text for pair in some for text in pair)
    if kept_ms is not None and fields:
        yield "PEXPIRE", key, str(kept_ms)


def generation(account: str, identifier: str, place: int, stored: Mapping[str, str], now: int) -> Iterator[Command]:
    """A generation in its places. One that is open is due at once."""
    partition = partition_of_generation(identifier)
    yield from set_hash(keys.generation(partition, identifier), stored)
    yield "ZADD", keys.recent(partition, account), str(place), identifier
    if "member" in stored:
        listed = keys.made_by(partition, account, stored["member"])
        yield "ZADD", listed, str(place), identifier
        yield "PEXPIRE", listed, str(_MADE_BY_MS)
    if stored["state"] in OPEN:
        yield "ZADD", keys.deadlines(partition), str(now), identifier
        if stored["state"] == "waiting":
            yield "ZADD", keys.waiting(partition, account, stored["tool"]), str(place), identifier
        return
    yield from files(identifier, stored)
    if stored["state"] == "failed" and int(stored["finished_at"]) > now - _FAILED_SHOWN_MS:
        yield "ZADD", keys.failed(partition), stored["finished_at"], identifier
        yield "PEXPIRE", keys.failed(partition), str(_FAILED_SHOWN_MS)


def files(identifier: str, stored: Mapping[str, str]) -> Iterator[Command]:
    """When an ended generation's files are to be deleted."""
    has_files = int(stored.get("delivered", 0)) > 0 or "stored_inputs" in stored
    if has_files and "outputs_deleted" not in stored:
        due = int(stored["finished_at"]) + outputs_kept_ms(stored)
        yield "ZADD", keys.outputs(partition_of_generation(identifier)), str(due), identifier


def beside(partition: int, row: Any) -> Iterator[Command]:
    """An account's webhooks and billing."""
    account = row["account"]
    for webhook, stored in fields_of(row["webhooks"] or "{}").items():
        yield from set_hash(keys.webhook(partition, account, webhook), stored)
    if billing := fields_of(row["billing"] or "{}"):
        yield from set_hash(keys.billing(partition, account), billing, _BILLING_MS)


def leading_to(row: Any, fields: Mapping[str, str], now: int) -> Iterator[Command]:
    """What leads to an account, in no partition: its keys, its email, its persons."""
    for key_id, record in fields_of(row["api_keys"] or "{}").items():
        yield "SET", keys.key(key_id), record
    if "email" in fields:
        yield "SET", keys.email(fields["email"]), f"{row['account']},{now}"
    for name, person in fields.items():
        if name.partition(":")[0] == "person":
            yield "SET", keys.person(person), row["account"], "EX", str(PERSON_SECONDS)


def usage(partition: int, row: Any, kept_ms: int) -> Iterator[Command]:
    """A day of an account."""
    account, day = row["account"], str(row["day"])
    for name, key in (
        ("sums", keys.usage(partition, account, day)),
        ("by_key", keys.usage_keys(partition, account, day)),
        ("by_tag", keys.usage_tags(partition, account, day)),
    ):
        if sums := fields_of(row[name]):
            yield from set_hash(key, sums, kept_ms)


def as_of(fields: dict[str, str], entry: int) -> dict[str, str] | None:
    """A generation as its account knew it after an entry; None: it was created later.

    If it has ended since, it is open again: queued, with the outputs that were delivered.
    """
    lines = [line for line in fields.get("entries", "").split("\n") if line]
    known = [line for line in lines if int(line.partition("|")[0]) <= entry]
    if len(known) == len(lines):
        return fields
    if not known:
        return None
    later = _CORRECTION_FIELDS if len(known) > 1 else (*_END_FIELDS, *_CORRECTION_FIELDS)
    changed = {name: value for name, value in fields.items() if name not in later}
    if len(known) == 1:
        changed["state"] = "queued"
    return {**changed, "entries": "\n".join(known)}
