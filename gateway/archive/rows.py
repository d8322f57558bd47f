"""Stored texts of the ledger to rows of the archive, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from gateway.json_text import to_json
from gateway.ledger.archiving import StoredGeneration

ENTRY_COLUMNS = (
    "account", "id", "at", "kind", "available_after", "held_after", "changes", "generation", "key", "member", "reason",
)  # fmt: skip
GENERATION_COLUMNS = (
    "id", "account", "place", "state", "tool", "model", "key", "member", "price", "committed", "refunded", "version",
    "created_at", "finished_at", "fields",
)  # fmt: skip

Row = tuple[Any, ...]

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # not an escaped backslash before u0000


def moment(milliseconds: int) -> datetime:
    """A time of the ledger as PostgreSQL has it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def milliseconds(at: datetime) -> int:
    """The reverse; exact, because the archive has whole milliseconds."""
    return round(at.timestamp() * 1000)


def entry_row(account: str, text: str) -> Row:
    """An entry as a row of `entries`."""
    number, at, kind, available, held, changes, generation, rest = text.split("|", 7)
    by, _, reason = rest.partition("|") if generation else ("", "", rest)
    key, _, member = by.partition(",")
    return (
        account, int(number), moment(int(at)), kind, int(available), int(held), changes,
        generation or None, key or None, member or None, reason or None,
    )  # fmt: skip


def entry_text(row: Mapping[str, Any]) -> str:
    """The reverse."""
    key, member, reason = (row[name] or "" for name in ("key", "member", "reason"))
    rest = f"{key},{member}|{reason}" if row["generation"] and (key or member or reason) else reason
    return "|".join(
        (
            str(row["id"]), str(milliseconds(row["at"])), row["kind"], str(row["available_after"]),
            str(row["held_after"]), row["changes"], row["generation"] or "", rest,
        )
    )  # fmt: skip


def generation_row(account: str, generation: StoredGeneration) -> Row:
    """A generation as a row of `generations`. One that is not listed is placed by its creation."""
    fields = generation.fields
    created_at = int(fields["created_at"])
    finished_at = fields.get("finished_at")
    return (
        generation.id, account, created_at if generation.place is None else generation.place, fields["state"],
        fields["tool"], fields["model"], fields.get("key"), fields.get("member"), int(fields["price"]),
        _number(fields, "committed"), _number(fields, "refunded"), int(fields.get("version", 0)), moment(created_at),
        None if finished_at is None else moment(int(finished_at)), as_json(fields),
    )  # fmt: skip


def as_json(fields: object) -> str:
    """Stored fields as JSON text, for a `jsonb` column, which cannot hold the character NUL."""
    text = to_json(fields).decode()
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def fields_of(text: str) -> dict[str, Any]:
    """The reverse."""
    found: dict[str, Any] = from_json(text)
    return found


def _number(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if name in fields else None
