"""A journal entry as a CloudEvent 1.0 in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from gateway.archive.rows import entry_text
from gateway.json_text import to_json
from gateway.ledger.records import decode_entry
from gateway.schemas.base import utc
from gateway.views.generations import entry_shape


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event. `number` is its place in the archive's order of copying."""

    number: int
    account: str
    text: bytes


def event_of(row: Mapping[str, Any], source: str) -> CloudEvent:
    """The event of an entry's row. `id` is the entry's within its `source`, which has the account."""
    entry = decode_entry(entry_text(row))
    members = {
        "specversion": "1.0",
        "id": str(entry.id),
        "source": f"{source}/accounts/{row['account']}",
        "type": f"farebox.{entry.kind}",
        "subject": row["account"],
        "time": utc(entry.at),
        "datacontenttype": "application/json",
        "data": from_json(entry_shape(entry).json_text()),
    }
    return CloudEvent(row["number"], row["account"], to_json(members))
