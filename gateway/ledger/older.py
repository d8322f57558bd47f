"""What the ledger no longer keeps, read from the archive by the same calls, and paged alike.

The pages here continue those of `lua/generations.lua` and `lua/journal.lua`, with their rules: as many are examined at
most, the same filters in the same words, and a page says where the next one begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from gateway.clock import now_ms
from gateway.ledger import outcomes
from gateway.ledger.archiving import StoredGeneration, StoredUsage
from gateway.ledger.generation_records import decode_fields, decode_tags, outputs_kept_ms
from gateway.ledger.journal_records import Entry
from gateway.ledger.records import decode_entry

EXAMINED_MAX = 1000
DECODED_MAX = 200  # of generations by metadata or words

Item = TypeVar("Item")


class Older(Protocol):
    """The archive, as the ledger reads it. Every method raises ArchiveUnavailable; rows come newest first."""

    async def generation(self, generation: str) -> tuple[str, StoredGeneration] | None:
        """The account of an ended generation, and the generation."""

    async def generations(
        self, *, account: str, member: str | None, below: int | None, created_before: int | None, limit: int
    ) -> list[StoredGeneration]:
        """Ended generations whose place is below this one."""

    async def entries(self, *, account: str, before: int, created_before: int | None, limit: int) -> list[str]:
        """Entries before this id, as stored."""

    async def usage(self, *, account: str, days: Sequence[str]) -> dict[str, StoredUsage]:
        """The sums of those days that there are."""

    async def calls(self, *, before: str, since: str, limit: int) -> list[tuple[str, str, str]]:
        """The audit log's entries with ids below one and not below the other: id, request, call as JSON."""

    async def erase_generation(self, generation: str, *, request: str) -> None:
        """Replace what was requested, and remove tags and webhooks."""

    async def erase_tags(self, *, account: str) -> None:
        """Remove the sums by tag."""


@dataclass(slots=True)
class PageBuilder:
    """Continues a page with older rows. `last` is the last one examined: where the next page begins after."""

    limit: int
    examined_max: int
    data: list[Any]
    last: str | None
    next: str | None = None
    _seen: set[Any] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._seen = {one.id for one in self.data}

    def add(
        self,
        rows: Sequence[Item],
        *,
        id_of: Callable[[Item], str],
        wanted: Callable[[Item], Any],
        is_too_old: Callable[[Item], bool],
    ) -> None:
        """Examine rows until one is too old. `wanted` decodes a row that passes, or returns None."""
        for index, row in enumerate(rows, start=1):
            if len(self.data) == self.limit or index > self.examined_max:
                self.next = self.last
                return
            if is_too_old(row):
                return
            found = wanted(row)
            if found is not None and found.id not in self._seen:
                self.data.append(found)
            self.last = id_of(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderFilter:
    """Which generations to list, as `lua/generations.lua` compares them; words in lower case."""

    state: str | None
    tool: str | None
    model: str | None
    key: str | None
    tags: Mapping[str, str]
    metadata: Mapping[str, str]
    words: Sequence[str]

    @property
    def examined_max(self) -> int:
        """How many are examined for a page."""
        return DECODED_MAX if self.metadata or self.words else EXAMINED_MAX

    def admits(self, fields: Mapping[str, str]) -> bool:
        """Whether a generation passes."""
        asked = {"state": self.state, "tool": self.tool, "model": self.model, "key": self.key}
        if any(value is not None and fields.get(name) != value for name, value in asked.items()):
            return False
        tags = fields.get("tags", "")
        if self.tags and not self.tags.items() <= decode_tags(tags).items():
            return False
        return self._has_metadata(fields) and self._has_words(fields, tags)

    def _has_metadata(self, fields: Mapping[str, str]) -> bool:
        if not self.metadata:
            return True
        has = json.loads(fields["request"]).get("metadata", {})
        return all(_is_same(has.get(name), wanted) for name, wanted in self.metadata.items())

    def _has_words(self, fields: Mapping[str, str], tags: str) -> bool:
        if not self.words:
            return True
        prompt = json.loads(fields["request"]).get("prompt", "")
        text = f"{prompt}\n{tags.replace(chr(9), ':')}".encode().lower()
        return all(word.encode() in text for word in self.words)


_NUMBER = re.compile(r"-?\d[\d.eE+-]*")


def _is_same(value: object, wanted: str) -> bool:
    """Text is compared as it is; numbers are equal in any decimal form."""
    if isinstance(value, bool):
        return wanted == ("true" if value else "false")
    if isinstance(value, int | float):
        try:
            return _NUMBER.fullmatch(wanted) is not None and float(wanted) == float(value)
        except ValueError:
            return False
    return value == wanted


def decode_older(stored: StoredGeneration) -> outcomes.Generation:
    """An archived generation. Its outputs have gone when their time was over, though nobody could note it here."""
    fields = dict(stored.fields)
    if int(fields.get("delivered", 0)) and now_ms() > int(fields["finished_at"]) + outputs_kept_ms(fields):
        fields.setdefault("outputs_deleted", "1")
    return decode_fields(stored.id, fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries to list, as `lua/journal.lua` compares them."""

    kind: str | None
    generation: str | None
    key: str | None
    member: str | None

    @property
    def filters(self) -> bool:
        """Whether any entry may be left out."""
        return any((self.kind, self.generation, self.key, self.member))

    def decode(self, text: str) -> Entry | None:
        """The entry, if it passes."""
        entry = decode_entry(text)
        asked = (
            (self.kind, entry.kind),
            (self.generation, entry.generation),
            (self.key, entry.key),
            (self.member, entry.member),
        )
        return entry if all(one is None or one == has for one, has in asked) else None
