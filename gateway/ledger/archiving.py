"""What the ledger has for the archive: changed accounts by partition, each as it is at one moment, and confirmations.

Scripts mark the accounts that they change (`lua/lib/archive.lua`), once an archive is switched on. Nothing that is
marked is trimmed, so an archive that is away costs memory, never history.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from gateway.domain import partition_of_account
from gateway.errors import LedgerBroken
from gateway.json_text import to_json
from gateway.ledger import keys
from gateway.ledger.core import LedgerCore
from gateway.ledger.records import pairs
from gateway.redis_link.calls import Reply

_TRIMMED_MAX = 64
"""How many entries and generations of an account a confirmation trims: more than one reply adds, on the whole."""
_MARKS_AT_ONCE = 500


Command = tuple[str, ...]
"""A command of Redis, its key, its arguments."""


@dataclass(frozen=True, slots=True)
class StoredGeneration:
    """A generation's stored fields. `place` is its place in the account's list; None if it is not listed."""

    id: str
    place: int | None
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoredUsage:
    """A day's sums as stored: of all, by key, by tag."""

    day: str
    sums: Mapping[str, str]
    by_key: Mapping[str, str]
    by_tag: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account's stored fields and what else is needed to have it again."""

    fields: Mapping[str, str]
    webhooks: Mapping[str, Mapping[str, str]]
    billing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed in an account since its last copy, at one moment.

    Only the generations are read a moment later, so one may have ended after the last of these entries.
    `entries` are texts, oldest first; `missing` is the first id that should be among them and is not. `stored` is None
    if the account is gone. `marked_at`: when the oldest of these changes was made (ms).
    """

    account: str
    marked_at: int
    missing: int | None
    stored: StoredAccount | None
    entries: Sequence[str]
    generations: Sequence[StoredGeneration]
    usage: Sequence[StoredUsage]

    @property
    def reached(self) -> int:
        """The last entry that the ledger believes to be in the archive."""
        fields = self.stored.fields if self.stored else {}
        return int(fields.get("archived", "0,0").partition(",")[0])

    @property
    def last_entry(self) -> int:
        """The id of the last entry of these, or of the last one copied before."""
        return int(self.entries[-1].partition("|")[0]) if self.entries else self.reached

    @property
    def whole(self) -> bool:
        """Whether these are all the account's entries, so that its fields and its journal agree."""
        return self.stored is not None and self.last_entry == int(self.stored.fields.get("entries", 0))


@dataclass(frozen=True, slots=True)
class Taken:
    """The changes of some accounts of a partition. `oldest_at`: since when the oldest has waited; None: nothing did."""

    oldest_at: int | None
    changes: tuple[Changes, ...]


ARCHIVE_LAG_MAX_MS = 300_000
"""How far the archive may be behind before operators are told: a restart of PostgreSQL takes less."""


class ArchiveOperations(LedgerCore):
    """Takes what the archive does not have, and notes what it has."""

    async def switch_archive(self, *, on: bool) -> None:
        """Mark changes from now on, and trim nothing that is not archived; or stop doing so.

        It stays on until it is switched off: a gateway or archivist that is started without its setting does not
        make the ledger drop what nobody has copied.
        """
        words = ("HSET", "archive", "1") if on else ("HDEL", "archive")
        await asyncio.gather(
            *(self.command(words[0], keys.policy(partition), *words[1:]) for partition in range(self.partitions))
        )

    async def has_archive(self) -> bool:
        """Whether an archive is switched on, in all partitions."""
        found = await asyncio.gather(
            *(self.command("HGET", keys.policy(partition), "archive") for partition in range(self.partitions))
        )
        return all(value == b"1" for value in found)

    async def archived_as(self) -> str | None:
        """The name by which its archive knows this ledger; None: it never had one."""
        name = await self.command("HGET", keys.policy(0), "archive:ledger")
        return None if name is None else str(name.decode())

    async def note_archived_as(self, name: str) -> None:
        """Note that name."""
        await self.command("HSET", keys.policy(0), "archive:ledger", name)

    async def archive_heartbeat(self) -> int:
        """The last number that an archivist noted here and in its archive; 0: none."""
        return int(await self.command("HGET", keys.policy(0), "archive:heartbeat") or 0)

    async def note_archive_heartbeat(self, number: int) -> None:
        """Note it."""
        await self.command("HSET", keys.policy(0), "archive:heartbeat", number)

    async def take_changes(self, *, partition: int, marks_max: int, entries_max: int) -> Taken:
        """What changed in some accounts of the partition; again the same until `note_archived` confirms it."""
        _, (oldest, *found) = await self.run(
            "archive_take", keys.unarchived(partition), marks_max=marks_max, entries_max=entries_max
        )
        named = [generation for reply in found for generation, _ in reply[5]]
        read = await asyncio.gather(
            *(self.command("HGETALL", keys.generation(partition, one.decode())) for one in named)
        )
        fields = dict(zip(named, read, strict=True))
        return Taken(int(oldest) if oldest else None, tuple(_decode_changes(reply, fields) for reply in found))

    async def note_archived(self, *, partition: int, changes: Sequence[Changes]) -> None:
        """Note that the archive has these changes, and trim what has expired of them."""
        copied = [
            [
                change.account,
                str(change.last_entry),
                change.stored.fields.get("time", "0") if change.stored else "0",
                int(change.whole or change.stored is None),
                str(change.marked_at),
                [usage.day for usage in change.usage],
            ]
            for change in changes
        ]
        await self.run("archived", keys.unarchived(partition), copied=json.dumps(copied), trimmed_max=_TRIMMED_MAX)

    async def rewind_archived(self, *, account: str, entry: int) -> None:
        """Have an account copied again from the entry after this one: the archive has no more."""
        await self.command("HSET", self.account_key(account), "archived", f"{entry},0")

    async def mark_all_of(self, account: str, *, now: int) -> None:
        """Mark an account from before the archive, with all generations that it lists."""
        partition = partition_of_account(account, self.partitions)
        start = 0
        while True:
            ids = await self.command("ZRANGE", keys.recent(partition, account), start, start + _MARKS_AT_ONCE - 1)
            marks = [account, *(f"{account} {one.decode()}" for one in ids)]
            scored = [word for mark in marks for word in (now, mark)]
            await self.command("ZADD", keys.unarchived(partition), "NX", *scored)
            if len(ids) < _MARKS_AT_ONCE:
                return
            start += _MARKS_AT_ONCE

    async def mark_generations(self, account: str, generations: Iterable[str], *, now: int) -> None:
        """Mark an account and some of its generations, so that they are copied again."""
        key = keys.unarchived(partition_of_account(account, self.partitions))
        for mark in (account, *(f"{account} {one}" for one in generations)):
            await self.command("ZADD", key, "NX", now, mark)

    async def restore(self, partition: int, commands: Sequence[Command]) -> None:
        """Write what the archive has of a partition, in one script; LedgerBroken if something is of another one."""
        word, rest = await self.run("restore", keys.policy(partition), commands=to_json(commands).decode())
        if word == "refused":
            raise LedgerBroken(f"the archive has {rest[0].decode()} in partition {partition}, where it cannot be")

    async def unarchived_since(self) -> int | None:
        """When the oldest change was made that is not in the archive (real time, ms); None: there is none."""
        read = [
            self.command("ZRANGE", key(partition), 0, 0, "WITHSCORES")
            for partition in range(self.partitions)
            for key in (keys.unarchived, keys.archiving)
        ]
        marks = [found for found in await asyncio.gather(*read) if found]
        return min((int(float(score)) for _, score in marks), default=None)


def _decode_changes(reply: Reply, read: Mapping[bytes, Mapping[bytes, bytes]]) -> Changes:
    account, marked_at, missing, flat, entries, generations, usage, webhooks, billing = reply
    stored = None
    if flat:
        hooks = {hook.decode(): pairs(fields) for hook, fields in webhooks}
        stored = StoredAccount(pairs(flat), hooks, pairs(billing))
    return Changes(
        account=account.decode(),
        marked_at=int(marked_at),
        missing=int(missing) if missing else None,
        stored=stored,
        entries=[entry.decode() for entry in entries],
        generations=[
            StoredGeneration(one.decode(), int(place) if place else None, _texts(fields))
            for one, place in generations
            if (fields := read[one])
        ],
        usage=[StoredUsage(day.decode(), *map(pairs, sums)) for day, *sums in usage],
    )


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """The fields as text. Decoding them together takes a fifth of the time; a value with a NUL is the exception."""
    texts = b"\0".join(chain.from_iterable(fields.items())).decode().split("\0")
    if len(texts) != 2 * len(fields):
        return {name.decode(): value.decode() for name, value in fields.items()}
    return dict(zip(texts[::2], texts[1::2], strict=True))
