"""Encodes and decodes the ledger's stored texts: entries, accounts, settings (generations: `generation_records`).

The formats are described in `gateway/ledger/README.md`; the Lua side writes them in `lua/lib/`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from gateway.domain import (
    Bucket,
    EntryKind,
    Interval,
    PauseKind,
    Scope,
    SettingValue,
)
from gateway.ledger import outcomes
from gateway.ledger.journal_records import BucketChange, Entry
from gateway.ledger.key_records import AccountKey, decode_bounds
from gateway.ledger.limits import decode_counter, decode_limit
from gateway.ledger.member_records import decode_members
from gateway.ledger.pause_records import stored_pause
from gateway.ledger.scripts import SCRIPTS
from gateway.ledger.volumes import decode_volume
from gateway.pricing.card import FREE_PLAN
from gateway.pricing.discounts import PricedFor

BUCKETS: Mapping[str, Bucket] = {
    letter: Bucket(name) for letter, name in re.findall(r'{"(\w)", "(\w+)"}', SCRIPTS.text("lib/buckets"))
}
"""Buckets by their letters in stored texts, in burn order (R5), as in `lua/lib/buckets.lua`."""

LETTERS: Mapping[Bucket, str] = {bucket: letter for letter, bucket in BUCKETS.items()}
DEFAULT_ALERTS = "200,0"
"""The default alert thresholds (in Lua: `lib/alerts.lua`)."""
GRANT_KINDS = {"d": "daily", "m": "monthly", "t": "top_up", "o": "operator", "r": "refund"}


def optional(fields: Mapping[str, str], name: str) -> int | None:
    """A field that may be absent."""
    return int(fields[name]) if name in fields else None


def pairs(flat: Sequence[bytes]) -> dict[str, str]:
    """Convert a flat reply of names and values to a dict."""
    texts = [item.decode() for item in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def canonical(value: SettingValue) -> str:
    """A setting's value as JSON text, as compared with `allow` lists. 5 and Decimal('5.0') are the same."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return f"{value.normalize():f}"
        case _:
            return json.dumps(value)


# --- journal -------------------------------------------------------------------------------------------------------


def decode_entry(text: str) -> Entry:
    """Decode an entry: id|at|kind|available after|held after|bucket:credits:held,…|generation|reason.

    With a generation, the reason comes after `key,member|`; both are missing in entries of earlier versions.
    """
    number, at, kind, available, held, changes, generation, reason = text.split("|", 7)
    by, _, reason = reason.partition("|") if generation else ("", "", reason)
    key, _, member = by.partition(",")
    buckets = {}
    for part in changes.split(",") if changes else ():
        letter, available_change, held_change = part.split(":")
        buckets[BUCKETS[letter]] = BucketChange(int(available_change), int(held_change))
    return Entry(
        id=int(number),
        at=int(at),
        kind=EntryKind(kind),
        credits_millicredits=sum(change.credits_millicredits for change in buckets.values()),
        held_millicredits=sum(change.held_millicredits for change in buckets.values()),
        buckets=buckets,
        available_after_millicredits=int(available),
        held_after_millicredits=int(held),
        generation=generation or None,
        reason=reason or None,
        key=key or None,
        member=member or None,
    )


def clean_reason(reason: str) -> str:
    """A reason on a single line, because an entry is a line of text."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in reason).split())


# --- account -------------------------------------------------------------------------------------------------------


def decode_account(account: str, view: Sequence[bytes]) -> outcomes.Account:
    """Decode a reply of `accounts.view`: now, next reset, last and next refresh (or empty), then its fields."""
    now, resets_at, cycle_started_at, refreshes_at = (item.decode() for item in view[:4])
    fields = pairs(view[4:])
    grants = [decode_grant(name[6:], text) for name, text in fields.items() if name.startswith("grant:")]
    available = dict.fromkeys(Bucket, 0)
    for grant in grants:
        available[grant.bucket] += grant.available_millicredits
    current = fields.get("monthly")
    monthly = next((grant.granted_millicredits for grant in grants if grant.id == current), 0)
    return outcomes.Account(
        id=account,
        now=int(now),
        clock_offset_ms=int(fields.get("offset", 0)),
        test="test" in fields,
        created_at=int(fields["created_at"]),
        email=fields.get("email"),
        metadata=json.loads(fields.get("metadata", "{}")),
        available_millicredits=available,
        held_millicredits={bucket: int(fields.get(f"held:{letter}", 0)) for letter, bucket in BUCKETS.items()},
        grants=tuple(sorted(grants, key=_burn_order)),
        free_resets_at=int(resets_at),
        monthly_millicredits=monthly,
        subscription=_decode_subscription(fields, cycle_started_at, refreshes_at),
        alerts_thousandths=_decode_thousandths(fields.get("alerts", DEFAULT_ALERTS)),
        alerted_thousandths=_decode_thousandths(fields.get("alerted", "")),
        in_work={name[5:]: int(count) for name, count in fields.items() if name.startswith("work:")},
        waiting={name[8:]: int(count) for name, count in fields.items() if name.startswith("waiting:")},
        keys=tuple(sorted(_decode_keys(fields), key=lambda key: (key.created_at, key.id))),
        keys_version=int(fields.get("keys_version", 0)),
        members=decode_members(fields),
        debt_millicredits=int(fields.get("debt", 0)),
        day=_decode_day(fields.get("day", "")),
        pause=stored_pause(PauseKind.ACCOUNT, account, fields.get("pause")),
        erased_at=optional(fields, "erased"),
        volumes={name[7:]: decode_volume(text) for name, text in fields.items() if name.startswith("volume:")},
        free_credits=None if "free_credits" not in fields else fields["free_credits"] == "yes",
        priced_for=PricedFor(fields.get("plan", FREE_PLAN), fields.get("factors", ""), int(fields.get("offset", 0))),
    )


def _decode_day(text: str) -> tuple[int, int] | None:
    day, _, ends = text.partition(",")
    return (int(day), int(ends)) if day else None


def _decode_thousandths(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def decode_grant(identifier: str, text: str) -> outcomes.Grant:
    """Decode a grant: bucket,available,held,granted,expires at or "",created at."""
    letter, available, held, granted, expires, created = text.split(",")
    return outcomes.Grant(
        id=identifier,
        bucket=BUCKETS[letter],
        kind=GRANT_KINDS[identifier[0]],
        available_millicredits=int(available),
        held_millicredits=int(held),
        granted_millicredits=int(granted),
        expires_at=int(expires) if expires else None,
        created_at=int(created),
    )


def _burn_order(grant: outcomes.Grant) -> tuple[int, bool, int, int]:
    rank = list(BUCKETS.values()).index(grant.bucket)
    return rank, grant.expires_at is None, grant.expires_at or 0, int(grant.id[1:])


def _decode_subscription(
    fields: Mapping[str, str], cycle_started_at: str, refreshes_at: str
) -> outcomes.Subscription | None:
    if "plan" not in fields:
        return None
    scheduled_plan, scheduled_interval, scheduled_at = fields.get("scheduled", ",,").split(",")
    return outcomes.Subscription(
        plan=fields["plan"],
        interval=Interval(fields["interval"]),
        started_at=int(fields["anchor"]),
        cycle_started_at=int(cycle_started_at),
        refreshes_at=int(refreshes_at),
        paid_through=optional(fields, "paid_through"),
        cancelled_to=optional(fields, "cancelled_to"),
        scheduled_plan=scheduled_plan or None,
        scheduled_interval=Interval(scheduled_interval) if scheduled_interval else None,
        scheduled_at=int(scheduled_at) if scheduled_at else None,
        billing=fields.get("billing"),
    )


def _decode_keys(fields: Mapping[str, str]) -> Iterable[AccountKey]:
    for name, text in fields.items():
        if name.startswith("key:"):
            created, label = text.split(",", 1)
            yield _decode_key(name[4:], Scope.ACCOUNT, created, label, fields)


def decode_operator_keys(listed: Mapping[bytes, bytes]) -> tuple[AccountKey, ...]:
    """Decode the operators' keys, oldest first."""
    fields = {name.decode(): text.decode() for name, text in listed.items()}
    found = []
    for name, text in fields.items():
        if name.startswith("key:"):
            scope, created, label = text.split(",", 2)
            found.append(_decode_key(name[4:], Scope(scope), created, label, fields))
    return tuple(sorted(found, key=lambda key: (key.created_at, key.id)))


def _decode_key(key_id: str, scope: Scope, created: str, label: str, fields: Mapping[str, str]) -> AccountKey:
    purse = fields.get(f"succeeds:{key_id}", key_id)
    limit, counter = fields.get(f"limit:{purse}"), fields.get(f"counted:{purse}")
    return AccountKey(
        id=key_id,
        label=label or None,
        created_at=int(created),
        scope=scope,
        last_used_at=optional(fields, f"used:{key_id}"),
        limit=decode_limit(limit) if limit else None,
        counter=decode_counter(counter) if counter else None,
        bounds=decode_bounds(fields.get(f"bound:{key_id}")),
        member=fields.get(f"of:{key_id}"),
    )


def encode_metadata(metadata: Mapping[str, Any] | None) -> str:
    """An account's metadata as JSON text; "" leaves it unchanged."""
    return "" if metadata is None else json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
