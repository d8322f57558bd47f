"""The model as the keys that the ledger should have, by the texts that `gateway/ledger/README.md` describes.

Left out is what no rule speaks of: a generation's request, version and last operation, and an entry's reason.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any

from gateway.domain import Cost, partition_of_account, partition_of_generation
from gateway.ledger import keys
from gateway.metering import Metering, Reports
from tests.invariants.model.credits import Account, Changes, Entry, Grant
from tests.invariants.model.generations import OPEN, Generation, Key, Member
from tests.invariants.model.keys import PERIODS
from tests.invariants.model.life import DAY, Model
from tests.invariants.model.margin import rows_of, usual_worth, worth_text

LETTERS = {"free": "f", "subscription": "s", "top_up": "t"}
KINDS = {"daily": "d", "monthly": "m", "top_up": "t", "operator": "o", "refund": "r"}
NOT_RULED = {
    "account": {"created_at", "order"},
    "generation": {"request", "version", "operation", "model", "created_at"},
    "checkout": {"kind", "what", "interval", "name", "price", "currency", "provider", "ref", "created_at", "paid_at"},
}

_partition_of = cache(partition_of_account)
_partition_in = cache(partition_of_generation)

Picture = dict[str, Any]
"""Key → what is in it."""


def picture_of(model: Model, partitions: int) -> Picture:
    """Every key that the ledger should have now, but for the policy and the schema version."""
    picture: Picture = {}
    mine: defaultdict[str, list[Generation]] = defaultdict(list)
    for g in model.generations.values():
        mine[g.account].append(g)
        painted = _generation(g) if g.state in OPEN else _ended(g, g.given_back, len(g.late))
        picture[keys.generation(_partition_in(g.id), g.id)] = painted
    for account in model.accounts.values():
        partition = _partition_of(account.id, partitions)
        picture[keys.account(partition, account.id)] = _account(account, mine[account.id]) | _counters(model, account)
        picture[keys.journal(partition, account.id)] = list(map(_entry, reversed(account.journal)))
        picture[keys.recent(partition, account.id)] = model.recent[account.id]
        for tool in ("image", "video"):
            picture[keys.waiting(partition, account.id, tool)] = {
                g.id: g.order for g in mine[account.id] if g.state == "waiting" and g.request.tool == tool
            }
    for (name, member), places in model.made_by.items():
        picture[keys.made_by(_partition_of(name, partitions), name, member)] = places
    for (name, day), counters in model.usage.items():
        picture[keys.usage(_partition_of(name, partitions), name, day)] = _texts(counters)
    for (part, name, day), rows in model.parts.items():
        spelled = keys.usage_keys if part == "keys" else keys.usage_tags
        picture[spelled(_partition_of(name, partitions), name, day)] = {
            row: ",".join(map(str, sums)) for row, sums in rows.items()
        }
    for (partition, on), sums in model.margin.items():
        picture[keys.margin(partition, on)] = rows_of(sums)
    picture |= _purchases(model, partitions)
    for (name, token), t in model.tokens.items():
        picture[keys.token(_partition_of(name, partitions), name, token)] = _texts(vars(t))
    for (name, operation), note in model.done.items():
        name_of_it = keys.idempotency(_partition_of(name, partitions), name, f"op.{operation}")
        picture[name_of_it] = f"o{note}" if note else ""
    for (name, digest), (asked, made) in model.asked.items():
        name_of_it = keys.idempotency(_partition_of(name, partitions), name, digest)
        picture[name_of_it] = f"{asked} generation {made}"
    picture |= {keys.key(key_id): text for key_id, text in model.stored_keys.items()}
    for partition in range(partitions):
        picture |= _partition(model, partition, partitions)
    return {key: value for key, value in picture.items() if value or ":account:" in key or ":idempotency:" in key}


def _purchases(model: Model, partitions: int) -> Picture:
    picture: Picture = {}
    for (name, checkout), c in model.checkouts.items():
        picture[keys.checkout(_partition_of(name, partitions), name, checkout)] = _texts(
            {"credits": c.credits, "status": c.status, "due": c.due, "asked": c.asked, "taken": c.taken, "owed": c.owed}
            | {"grant": f"t{c.grant}" if c.grant else 0, "granted_at": c.granted_at}
            | {
                f"back|{of}": f"{at},{part.numerator},{part.denominator}" + ("" if made is None else f",{made}")
                for of, (at, part, made) in c.said.items()
            }
        )
        listed = picture.setdefault(keys.purchases(_partition_of(name, partitions), name), {})
        listed[checkout] = c.begun_at
        picture[keys.checkout_owner(checkout)] = name
    return picture


def stored(key: str, value: Any) -> Any:
    """What was read of a key, in the terms of a picture."""
    kind = key.split(":")[1]
    if isinstance(value, dict):
        left_out = NOT_RULED.get(kind, set())
        fields = {name: text for name, text in value.items() if name not in left_out and text not in {"0", ""}}
        if kind == "generation":
            fields["provider"] = json.loads(value["request"])["provider"]
            if not fields.keys() & {"ref", "keeps_limit"} and fields["state"] != "running":
                fields.pop("give_up_at", None)  # the next attempt has a time of its own
        return {name: "" if name.startswith("output:") else text for name, text in fields.items()}
    if kind == "journal":
        return list(map(_without_reason, value))
    if isinstance(value, list):
        return dict(value)
    return value


def _texts(values: Any) -> dict[str, str]:
    """Nothing, false and zero are not there."""
    return {name: str(int(value) if value is True else value) for name, value in values.items() if value}


def _account(a: Account, mine: list[Generation]) -> dict[str, str]:
    values: dict[str, Any] = {"offset": a.offset, "test": a.test, "entries": len(a.journal), "grants": a.grant_count}
    values |= {"time": a.time, "alerted": ",".join(str(part) for part in sorted(a.alerted, reverse=True))}
    for name, numbers in (("revoked", a.revoked), ("owing", a.owing)):
        values[name] = ",".join(f"t{number}" for number in numbers)
    values |= {f"given_back:{LETTERS[bucket]}": f"o{number}" for bucket, number in a.given_back.items()}
    values["free_credits"] = {None: None, True: "yes", False: "no"}[a.free_credits]
    values |= {"debt": a.debt} | {f"returned:t{number}": amount for number, amount in a.returned.items()}
    for name, number in (("daily", a.daily), ("monthly", a.monthly)):
        values[name] = f"{name[0]}{number}" if number else None
    for grant in a.grants.values():
        parts = (LETTERS[grant.bucket], grant.available, grant.held, grant.granted, grant.expires or "", grant.created)
        name = f"{KINDS[grant.kind]}{grant.number}"
        values[f"grant:{name}"] = ",".join(map(str, parts))
        values[f"worth:{name}"] = _worth(grant)
    if plan := a.subscription:
        values |= {"plan": plan.plan, "interval": plan.interval, "anchor": plan.anchor, "cycle": plan.cycle}
        values |= {"paid_through": plan.paid_through, "cancelled_to": plan.cancelled_to}
        values["scheduled"] = ",".join(map(str, plan.scheduled or ()))
        values["paid_worth"] = plan.worth
    counts = Counter[str]()
    for g in mine:
        if g.state in OPEN:
            counts[f"{'waiting' if g.state == 'waiting' else 'work'}:{g.request.tool}"] += 1
            for share in g.shares:
                counts[f"held:{LETTERS[share.grant.bucket]}"] += share.amount
    return _texts(values | counts)


def _counters(model: Model, a: Account) -> dict[str, str]:
    """R25, R26: what each key and member may spend, and has spent in the periods of the last day on which it did."""
    values: dict[str, Any] = {"keys_version": a.keys_version, "day": a.day and f"{_number(a.day[0])},{a.day[1]}"}
    values |= model.pauses_in(a.id)
    for key in a.keys.values():
        values[f"key:{key.id}"] = f"{key.created_at},"
        values[f"of:{key.id}"] = key.member
    for member in a.members.values():
        values[f"member:{member.id}"] = f"{member.created_at},{member.role},{member.removed_at or ''},"
    for name, day in model.ordered_on[a.id].items():
        values[f"volume:{name}"] = f"{_number(day)},{model.ordered(a.id, name, day)}"
    limited: list[Key | Member] = [*a.keys.values(), *(one for one in a.members.values() if not one.removed_at)]
    for whose in limited:
        values[f"limit:{whose.id}"] = whose.limit and f"{whose.limit.millicredits},{whose.limit.period}"
        days = [g.counted[0] for g in model.generations.values() if g.counted and whose in g.counted[1]]
        if days:
            sums = (model.used(whose, max(days), period) for period in PERIODS)
            values[f"counted:{whose.id}"] = ",".join(map(str, (_number(max(days)), *sums)))
    return _texts(values)


def _number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _worth(grant: Grant) -> str:
    """R31: where it is not the usual."""
    return "" if grant.worth == usual_worth(grant.kind, grant.bucket) else worth_text(grant.worth)


def _generation(g: Generation) -> dict[str, str]:
    ended = g.state not in OPEN
    price, terms = g.request.price_millicredits, g.terms
    limits = (terms.queue_timeout_ms, terms.provider_timeout_ms, terms.waiting_timeout_ms, terms.attempts_max)
    worths = [_worth(share.grant) for share in g.shares]
    values = {
        "account": g.account, "tool": g.request.tool, "price": price, "outputs": g.request.outputs, "state": g.state,
        "attempt": g.attempt, "failures": g.failures, "delivered": len(g.outputs), "ref": g.ref,
        "submission": g.submission, "ref_attempt": g.ref_attempt, "ref_at": g.ref_at,
        "queued_at": g.queued_at, "started_at": g.started_at, "finished_at": g.finished_at,
        "progress": g.progress, "cancel_requested": g.cancel_requested, "error": g.error,
        "terms": ",".join(map(str, (*limits, g.outputs_kept, g.head_start))),
        "allocation": ",".join(
            f"{LETTERS[share.grant.bucket]}:{KINDS[share.grant.kind]}{share.grant.number}:{share.amount}"
            for share in g.shares
        ),
        "entries": "\n".join(f"{_entry(entry)}|" if entry.by else _entry(entry) for entry in g.entries),
        "meters": g.request.metering and _meters(g.request.metering), "charged": g.charged,
        "worth": ",".join(worths) if any(worths) else "", "lost": encode(g.lost),
        "tags": "\n".join(f"{tag}\t{value}" for tag, value in g.request.tags.items()),
        "key": g.key, "member": g.member, "token": g.token,
        "provider": g.provider, "providers": ",".join(g.request.providers), "tried": g.tried and _tried(g),
        "volume": g.ordered_on and _number(g.ordered_on),
        "counted": g.counted and ",".join([str(_number(g.counted[0])), *(whose.id for whose in g.counted[1])]),
    }  # fmt: skip
    if ended:
        values |= {"committed": g.committed, "refunded": price - g.committed}
        values |= {"given_back": g.given_back, "given_back_by": g.given_back_by, "given_back_on": g.given_back_on}
        values |= {"booked": g.booked}
    else:
        values |= {"not_before": g.not_before, "parked": g.parked, "looks": g.looks, "lease_until": g.lease_until}
        values |= {"retry_pauses": ",".join(map(str, terms.retry_pauses_ms))}
        values |= {"called_back": g.called_back, "in_line": g.in_line, "looked_at": g.looked_at}
        values |= {"released": g.released, "keeps_limit": g.keeps_limit}
        values["give_up_at"] = g.give_up_at if g.ref or g.keeps_limit or g.state == "running" else 0
    reported = {f"reported:{index}": _reports(reports) for index, reports in g.outputs.items() if reports}
    costs = {f"cost:{index}": encode([cost]) for index, cost in g.costs.items() if cost}
    costs |= {f"late:{job}": encode(lost) for job, lost in g.late.items()}
    return _texts(values) | {f"output:{index}": "" for index in g.outputs} | reported | costs


def encode(costs: Sequence[Cost]) -> str:
    """R31: provider, assumed, reported; either may be unknown."""
    parts = ((one.provider, *("" if each is None else each for each in one[1:])) for one in costs)
    return ";".join(",".join(map(str, part)) for part in parts)


def _tried(g: Generation) -> str:
    told = [[one.provider, one.result, one.times, one.at, one.until] for one in g.tried]
    return json.dumps(told, separators=(",", ":"))


def _meters(metering: Metering) -> str:
    rates = (f"{one.unit}:{one.nanocredits / 10**6:.6f}:{one.at_most}:{one.unreported}" for one in metering.meters)
    return f"{metering.first_line};{metering.fixed_nanocredits / 10**6:.6f};{','.join(rates)}"


def _reports(reports: Reports) -> str:
    return ",".join(f"{unit}:{'?' if amount is None else amount}" for unit, amount in reports.items())


@cache
def _ended(g: Generation, given_back: int, late: int) -> dict[str, str]:
    """Nothing else changes it any more."""
    del given_back, late
    return _generation(g)


def _partition(model: Model, partition: int, partitions: int) -> Picture:
    """What is kept once for all of a partition's accounts."""
    here = [g for g in model.generations.values() if _partition_in(g.id) == partition]
    accounts = sum(_partition_of(name, partitions) == partition for name in model.accounts)
    totals = Counter[str](accounts=accounts) + model.counted[partition]
    deadlines, outputs, failed = {}, {}, {}
    for g in here:
        if g.state in OPEN:
            totals.update({"open": 1, "held": g.request.price_millicredits, f"{g.state}:{g.request.tool}": 1})
            deadlines[g.id] = g.deadline
        elif g.outputs:
            outputs[g.id] = (g.finished_at or 0) + g.outputs_kept
        if g.state == "failed":
            failed[g.id] = g.finished_at or 0
    newest = max(failed.values(), default=0)  # when the list was last shortened
    return {
        keys.totals(partition): _texts(totals),
        keys.deadlines(partition): deadlines,
        keys.outputs(partition): outputs,
        keys.failed(partition): {name: at for name, at in failed.items() if at > newest - 30 * DAY},
    }


@cache
def _entry(entry: Entry) -> str:
    """An entry without its reason."""
    parts = (entry.number, entry.at, entry.kind, entry.available_after, entry.held_after, _changes(entry.changes))
    return "|".join(map(str, (*parts, entry.generation or "", entry.by)))


def _without_reason(text: str) -> str:
    """What is stored of an entry; with a generation, who created it comes before the reason."""
    *parts, generation, rest = text.split("|", 7)
    return "|".join((*parts, generation, rest.partition("|")[0] if generation else ""))


def _changes(changes: Changes) -> str:
    moved = ((letter, changes.get(bucket, (0, 0))) for bucket, letter in LETTERS.items())
    return ",".join(f"{letter}:{credit}:{hold}" for letter, (credit, hold) in moved if credit or hold)


def forget() -> None:
    """Let go of what was painted for an example that is over."""
    for painted in (_entry, _ended, _partition_in):
        painted.cache_clear()
