"""How the ledger's texts become values and back: the request, outputs, entries, allocations, accounts.

The formats are described in `gateway/ledger/README.md`; the Lua side writes them in `lua/lib/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pydantic_core import to_json

from gateway.domain import (
    Bucket,
    EntryKind,
    FailureCode,
    GenerationRequest,
    Input,
    Interval,
    Output,
    PriceLine,
    Scope,
    SettingValue,
    State,
)
from gateway.ledger import outcomes as o

BUCKETS: Mapping[str, Bucket] = {"f": Bucket.FREE, "s": Bucket.SUBSCRIPTION, "t": Bucket.TOP_UP}
LETTERS: Mapping[Bucket, str] = {bucket: letter for letter, bucket in BUCKETS.items()}
DEFAULT_ALERTS = "200,0"
"""What an account without thresholds of its own has (in Lua: `lib/alerts.lua`)."""
GRANT_KINDS = {"d": "daily", "m": "monthly", "t": "top_up", "o": "operator", "r": "refund"}


def pairs(flat: Sequence[bytes]) -> dict[str, str]:
    """A flat reply of names and values as a dict."""
    texts = [item.decode() for item in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


# --- request and outputs -------------------------------------------------------------------------------------------


def canonical(value: SettingValue) -> str:
    """A setting's value as JSON text: what `allow` lists compare. 5 and Decimal('5.0') are the same."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return f"{value.normalize():f}"
        case _:
            return json.dumps(value)


def _setting_to_json(value: SettingValue) -> str | int | bool | dict[str, str]:
    return {"decimal": str(value)} if isinstance(value, Decimal) else value


def _setting_from_json(value: Any) -> SettingValue:
    if isinstance(value, dict):
        return Decimal(value["decimal"])
    setting: SettingValue = value
    return setting


def encode_request(request: GenerationRequest) -> str:
    """The immutable part of a generation as JSON, without what is empty and what is in fields of its own.

    Decimals are text, so that nothing is ever a float.
    """
    members = {
        "provider": request.provider,
        "provider_model": request.provider_model,
        "prompt": request.prompt,
        "rate_card": request.rate_card,
        "settings": {name: _setting_to_json(value) for name, value in request.settings.items()},
        "inputs": [[item.kind, item.url] for item in request.inputs],
        "lines": [[line.label, str(line.credits), str(line.count), str(line.total)] for line in request.lines],
        "metadata": request.metadata,
        "sandbox": request.sandbox,
    }
    return to_json({name: value for name, value in members.items() if value not in (None, [], {})}).decode()


def _decode_request(fields: Mapping[str, str]) -> GenerationRequest:
    data = json.loads(fields["request"])
    return GenerationRequest(
        tool=fields["tool"],
        model=fields["model"],
        provider=data["provider"],
        provider_model=data.get("provider_model"),
        prompt=data["prompt"],
        outputs=int(fields["outputs"]),
        price_millicredits=int(fields["price"]),
        rate_card=data["rate_card"],
        settings={name: _setting_from_json(value) for name, value in data.get("settings", {}).items()},
        inputs=tuple(Input(kind, url) for kind, url in data.get("inputs", ())),
        lines=tuple(
            PriceLine(label, Decimal(each), Decimal(count), Decimal(total))
            for label, each, count, total in data.get("lines", ())
        ),
        metadata=data.get("metadata", {}),
        sandbox=data.get("sandbox"),
    )


def encode_output(output: Output) -> str:
    """One delivered output as JSON text."""
    duration = None if output.duration_seconds is None else str(output.duration_seconds)
    return json.dumps(
        [output.object_key, output.content_type, output.bytes, output.width, output.height, output.sha256, duration],
        separators=(",", ":"),
    )


def _decode_output(index: int, text: str) -> Output:
    object_key, content_type, size, width, height, sha256, duration = json.loads(text)
    return Output(
        index=index,
        object_key=object_key,
        content_type=content_type,
        bytes=size,
        width=width,
        height=height,
        sha256=sha256,
        duration_seconds=None if duration is None else Decimal(duration),
    )


# --- journal -------------------------------------------------------------------------------------------------------


def decode_entry(text: str) -> o.Entry:
    """An entry: id|at|kind|available after|held after|bucket:credits:held,…|generation|reason."""
    number, at, kind, available, held, changes, generation, reason = text.split("|", 7)
    buckets = {}
    for part in changes.split(",") if changes else ():
        letter, available_change, held_change = part.split(":")
        buckets[BUCKETS[letter]] = o.BucketChange(int(available_change), int(held_change))
    return o.Entry(
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
    )


def clean_reason(reason: str) -> str:
    """A reason as one line: an entry is a line of text."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in reason).split())


# --- generation ----------------------------------------------------------------------------------------------------


def _optional(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if name in fields else None


def decode_generation(generation: str, flat: Sequence[bytes]) -> o.Generation:
    """A generation's hash as a value."""
    fields = pairs(flat)
    price = int(fields["price"])
    state = State(fields["state"])
    final = state in {State.SUCCEEDED, State.FAILED, State.CANCELLED}
    indices = sorted(int(name[7:]) for name in fields if name.startswith("output:"))
    return o.Generation(
        id=generation,
        account=fields["account"],
        state=state,
        request=_decode_request(fields),
        price_millicredits=price,
        held_millicredits=0 if final else price,
        committed_millicredits=int(fields.get("committed", 0)),
        refunded_millicredits=int(fields.get("refunded", 0)),
        allocation=decode_allocation(fields["allocation"]),
        outputs=tuple(_decode_output(index, fields[f"output:{index}"]) for index in indices),
        outputs_deleted="outputs_deleted" in fields,
        progress_thousandths=1000 if state is State.SUCCEEDED else int(fields.get("progress", 0)),
        attempt=int(fields["attempt"]),
        failures=int(fields["failures"]),
        submission=int(fields.get("submission", 0)),
        looks=int(fields.get("looks", 0)),
        version=int(fields["version"]),
        operation=fields["operation"],
        cancel_requested="cancel_requested" in fields,
        error=FailureCode(fields["error"]) if fields.get("error") else None,
        provider_ref=fields.get("ref"),
        ref_attempt=int(fields.get("ref_attempt", 0)),
        ref_at=_optional(fields, "ref_at"),
        looked_at=_optional(fields, "looked_at"),
        give_up_at=_optional(fields, "give_up_at"),
        created_at=int(fields["created_at"]),
        queued_at=_optional(fields, "queued_at"),
        started_at=_optional(fields, "started_at"),
        finished_at=_optional(fields, "finished_at"),
        entry_texts=tuple(line for line in fields["entries"].split("\n") if line),
    )


def new_generation(
    generation: str,
    account: str,
    operation: str,
    request: GenerationRequest,
    *,
    created_at: int,
    waits: bool,
    texts: tuple[str, str],
) -> o.Generation:
    """A generation as `reserve` has just made it. `texts` are its allocation and its journal entry ("" for none)."""
    allocation, entry = texts
    return o.Generation(
        id=generation,
        account=account,
        state=State.WAITING if waits else State.QUEUED,
        request=request,
        price_millicredits=request.price_millicredits,
        held_millicredits=request.price_millicredits,
        committed_millicredits=0,
        refunded_millicredits=0,
        allocation=decode_allocation(allocation),
        outputs=(),
        outputs_deleted=False,
        progress_thousandths=0,
        attempt=0,
        failures=0,
        submission=0,
        looks=0,
        version=1,
        operation=operation,
        cancel_requested=False,
        error=None,
        provider_ref=None,
        ref_attempt=0,
        ref_at=None,
        looked_at=None,
        give_up_at=None,
        created_at=created_at,
        queued_at=None if waits else created_at,
        started_at=None,
        finished_at=None,
        entry_texts=(entry,) if entry else (),
    )


def decode_allocation(text: str) -> tuple[o.Share, ...]:
    """An allocation: bucket:grant:amount,…, first drawn first."""
    shares = (part.split(":") for part in text.split(",") if part)
    return tuple(o.Share(BUCKETS[letter], grant, int(amount)) for letter, grant, amount in shares)


def decode_dispatch(flat: Sequence[bytes]) -> o.Dispatch | None:
    """A dispatch as the scripts reply it, or None for the empty list."""
    if not flat:
        return None
    generation, tool, *numbers, account, provider = (item.decode() for item in flat)
    attempt, score, queued_at, not_before, deadline = map(int, numbers)
    return o.Dispatch(generation, tool, attempt, score, queued_at, not_before, deadline, account, provider)


def decode_dispatches(flats: Iterable[Sequence[bytes]]) -> tuple[o.Dispatch, ...]:
    """Several dispatches."""
    return tuple(dispatch for flat in flats if (dispatch := decode_dispatch(flat)))


# --- account -------------------------------------------------------------------------------------------------------


def decode_account(account: str, view: Sequence[bytes]) -> o.Account:
    """An account as `accounts.view` replies it: now, next reset, last and next refresh (or empty), then its fields."""
    now, resets_at, cycle_started_at, refreshes_at = (item.decode() for item in view[:4])
    fields = pairs(view[4:])
    grants = [decode_grant(name[6:], text) for name, text in fields.items() if name.startswith("grant:")]
    available = dict.fromkeys(Bucket, 0)
    for grant in grants:
        available[grant.bucket] += grant.available_millicredits
    current = fields.get("monthly")
    monthly = next((grant.granted_millicredits for grant in grants if grant.id == current), 0)
    return o.Account(
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
        debt_millicredits=int(fields.get("debt", 0)),
    )


def _decode_thousandths(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def decode_grant(identifier: str, text: str) -> o.Grant:
    """A grant: bucket,available,held,granted,expires at or "",created at."""
    letter, available, held, granted, expires, created = text.split(",")
    return o.Grant(
        id=identifier,
        bucket=BUCKETS[letter],
        kind=GRANT_KINDS[identifier[0]],
        available_millicredits=int(available),
        held_millicredits=int(held),
        granted_millicredits=int(granted),
        expires_at=int(expires) if expires else None,
        created_at=int(created),
    )


def _burn_order(grant: o.Grant) -> tuple[int, bool, int, int]:
    rank = list(Bucket).index(grant.bucket)
    return rank, grant.expires_at is None, grant.expires_at or 0, int(grant.id[1:])


def _decode_subscription(fields: Mapping[str, str], cycle_started_at: str, refreshes_at: str) -> o.Subscription | None:
    if "plan" not in fields:
        return None
    scheduled_plan, scheduled_interval, scheduled_at = fields.get("scheduled", ",,").split(",")
    return o.Subscription(
        plan=fields["plan"],
        interval=Interval(fields["interval"]),
        started_at=int(fields["anchor"]),
        cycle_started_at=int(cycle_started_at),
        refreshes_at=int(refreshes_at),
        paid_through=_optional(fields, "paid_through"),
        cancelled_to=_optional(fields, "cancelled_to"),
        scheduled_plan=scheduled_plan or None,
        scheduled_interval=Interval(scheduled_interval) if scheduled_interval else None,
        scheduled_at=int(scheduled_at) if scheduled_at else None,
        billing=fields.get("billing"),
    )


def _decode_keys(fields: Mapping[str, str]) -> Iterable[o.AccountKey]:
    for name, text in fields.items():
        if name.startswith("key:"):
            created, label = text.split(",", 1)
            yield _decode_key(name[4:], Scope.ACCOUNT, created, label, fields)


def decode_operator_keys(listed: Mapping[bytes, bytes]) -> tuple[o.AccountKey, ...]:
    """The operators' list, by age."""
    fields = {name.decode(): text.decode() for name, text in listed.items()}
    found = []
    for name, text in fields.items():
        if name.startswith("key:"):
            scope, created, label = text.split(",", 2)
            found.append(_decode_key(name[4:], Scope(scope), created, label, fields))
    return tuple(sorted(found, key=lambda key: (key.created_at, key.id)))


def _decode_key(key_id: str, scope: Scope, created: str, label: str, fields: Mapping[str, str]) -> o.AccountKey:
    used = fields.get(f"used:{key_id}")
    return o.AccountKey(key_id, label or None, int(created), scope, int(used) if used else None)


def encode_metadata(metadata: Mapping[str, Any] | None) -> str:
    """An account's metadata as JSON text; "" leaves what is there."""
    return "" if metadata is None else json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
