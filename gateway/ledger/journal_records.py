"""Journal entries as values. Amounts are millicredits, times are account time (ms, UTC)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain import Bucket, EntryKind


@dataclass(frozen=True, slots=True)
class BucketChange:
    """One journal entry's change to one bucket."""

    credits_millicredits: int
    held_millicredits: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal entry (R19). `id` counts from 1 in each account."""

    id: int
    at: int
    kind: EntryKind
    credits_millicredits: int
    held_millicredits: int
    buckets: Mapping[Bucket, BucketChange]
    available_after_millicredits: int
    held_after_millicredits: int
    generation: str | None
    reason: str | None
    key: str | None = None
    """The id of the API key that its generation was created with."""
    member: str | None = None
    """… and of the member."""
