"""What must hold in every ledger at every moment (docs/design.md, section 5), proved from the raw keys.

Independent of the scripts on purpose: plain Python on the texts that `gateway/ledger/README.md` describes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from tests.invariants.attribution import check_attribution
from tests.invariants.billing import check_billing
from tests.invariants.contents import Contents, read_contents
from tests.invariants.events import check_events
from tests.invariants.margin import check_margin
from tests.invariants.metering import used

OPEN = {"waiting", "queued", "running"}
BUCKETS = ("f", "s", "t")
EPOCH = date(1970, 1, 1)
RECENT = 40 * 86_400_000
"""How old a generation may be when one ends and still stay in the list of recent ones."""


class Broken(AssertionError):
    """A ledger contradicts itself. `make test` never runs such a test again: once is too often."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal entry. `deltas`: bucket letter → (change of available, change of held)."""

    text: str
    number: int
    at: int
    kind: str
    available: int
    held: int
    deltas: dict[str, tuple[int, int]]
    generation: str
    by: str


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant of an account."""

    bucket: str
    available: int
    held: int
    expires: int | None


@dataclass
class Partition:
    """The keys of one partition by what they are; names without their tag and kind."""

    accounts: dict[str, dict[str, str]]
    generations: dict[str, dict[str, str]]
    journals: dict[str, list[str]]
    waiting: dict[str, dict[str, float]]
    recent: dict[str, dict[str, float]]
    made_by: dict[str, dict[str, float]]
    usage: dict[str, dict[str, str]]
    usage_keys: dict[str, dict[str, str]]
    usage_tags: dict[str, dict[str, str]]
    margin: dict[str, dict[str, str]]
    deadlines: dict[str, float]
    outputs: dict[str, float]
    totals: dict[str, str]
    expiring: set[str]
    archived: bool
    deliveries: dict[str, dict[str, str]]
    due: dict[str, dict[str, float]]
    webhooks: dict[str, dict[str, str]]
    billing: dict[str, dict[str, str]]
    checkouts: dict[str, dict[str, str]]


async def check_invariants(redis: Redis | RedisCluster, partitions: int) -> None:
    """Broken, with the account or generation, if anything in the ledger contradicts anything else."""
    contents = await read_contents(redis)
    for index in range(partitions):
        check_partition(partition_of(contents, f"{{fb{index:02x}}}:"))


def partition_of(contents: Contents, tag: str) -> Partition:
    """The keys of the partition with this tag."""
    by_kind: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for name, stored in contents.items():
        if name.startswith(tag):
            kind, _, rest = name.removeprefix(tag).partition(":")
            by_kind[kind][rest] = stored.value
    expiring = {name.removeprefix(tag) for name, stored in contents.items() if stored.expires_at >= 0}
    named = {kind: by_kind[kind] for kind in ("account", "generation", "journal", "waiting", "recent", "made_by")}
    alone = {kind: by_kind[kind].get("", {}) for kind in ("deadlines", "outputs", "totals")}
    return Partition(
        accounts=named["account"],
        generations=named["generation"],
        journals=named["journal"],
        waiting=named["waiting"],
        recent=named["recent"],
        made_by=named["made_by"],
        usage=by_kind["usage"],
        usage_keys=by_kind["usage_keys"],
        usage_tags=by_kind["usage_tags"],
        margin=by_kind["margin"],
        deadlines=alone["deadlines"],
        outputs=alone["outputs"],
        totals=alone["totals"],
        expiring=expiring,
        archived=by_kind["policy"].get("", {}).get("archive") == "1",
        deliveries=by_kind["delivery"],
        due=by_kind["pending"],
        webhooks=by_kind["webhook"],
        billing=by_kind["billing"],
        checkouts=by_kind["checkout"],
    )


def check_partition(partition: Partition) -> None:
    """Check one partition: Broken, with the account or generation."""
    try:
        _check_partition(partition)
    except AssertionError as contradiction:
        raise Broken(*contradiction.args) from contradiction


def _check_partition(partition: Partition) -> None:
    _check_generations(partition)
    for account, fields in partition.accounts.items():
        _check_account(partition, account, fields)
        check_billing(account, partition.billing.get(account, {}), fields)
        _check_purchases(partition, account, fields)
    check_events(partition)
    check_margin(partition.generations, partition.margin)
    _check_totals(partition)


def parse_entry(text: str) -> Entry:
    """id|at|kind|available after|held after|bucket:credits:held,…|generation|key,member|reason."""
    number, at, kind, available, held, changes, generation, rest = text.split("|", 7)
    deltas = {}
    for change in changes.split(",") if changes else ():
        bucket, credits, holds = change.split(":")
        deltas[bucket] = (int(credits), int(holds))
    by = rest.partition("|")[0] if generation else ""
    return Entry(text, int(number), int(at), kind, int(available), int(held), deltas, generation, by)


def parse_grants(fields: dict[str, str]) -> dict[str, Grant]:
    """An account's grants by id."""
    grants = {}
    for name, text in fields.items():
        if name.startswith("grant:"):
            bucket, available, held, _granted, expires, _created = text.split(",")
            grants[name.removeprefix("grant:")] = Grant(
                bucket, int(available), int(held), int(expires) if expires else None
            )
    return grants


def _check_account(partition: Partition, account: str, fields: dict[str, str]) -> None:
    mine = {name: g for name, g in partition.generations.items() if g["account"] == account}
    entries = [parse_entry(text) for text in reversed(partition.journals.get(account, []))]
    grants = parse_grants(fields)
    held = {bucket: int(fields.get(f"held:{bucket}", 0)) for bucket in BUCKETS}
    _check_journal(account, fields, entries, grants, held)
    _check_expiries(account, fields, grants)
    _check_holds(account, mine, grants, held)
    _check_counts(partition, account, fields, mine)
    _check_usage(partition, account, mine)
    check_attribution(account, mine, entries, {"keys": partition.usage_keys, "tags": partition.usage_tags})
    _check_limits(account, fields, mine)
    _check_volumes(account, fields, mine)
    for generation, g in mine.items():
        own = [entry.text for entry in entries if entry.generation == generation]
        kept = [line for line in g["entries"].split("\n") if line]
        assert kept[-len(own) :] == own or not own, f"{generation} does not keep its own entries"
        by = ",".join((g.get("key", ""), g.get("member", "")))
        said = {"" if entry.by == "," else entry.by for entry in entries if entry.generation == generation}
        assert said <= {"" if by == "," else by}, f"{generation} is of {by}, its entries say {said}"
        ended = max(int(one.get("finished_at", 0)) for one in mine.values())
        assert generation in partition.recent.get(account, {}) or int(g["created_at"]) <= ended - RECENT, (
            f"{generation} is missing from recent"
        )
    _check_lists(partition, account, mine)


def _check_expiries(account: str, fields: dict[str, str], grants: dict[str, Grant]) -> None:
    """No call leaves credits that are gone with the next one: what had expired by then has gone."""
    now, recurring = int(fields.get("time", 0)), {fields.get("daily"), fields.get("monthly")}
    over = [one for one, grant in grants.items() if grant.expires and grant.expires <= now and one not in recurring]
    assert not over, f"{account} has kept what had expired at {now}: {over}"


def _check_lists(partition: Partition, account: str, mine: dict[str, dict[str, str]]) -> None:
    """A member's list holds those of the account's that they made, in the same order."""
    listed = partition.recent.get(account, {})
    for generation, g in mine.items():
        if "member" in g and generation in listed:
            own = partition.made_by.get(f"{account}:{g['member']}", {})
            assert own.get(generation) == listed[generation], f"{generation} is missing from {g['member']}'s"
    for name, own in partition.made_by.items():
        of, member = name.split(":")
        strange = [one for one in own if of == account and mine.get(one, {"member": member}).get("member") != member]
        assert not strange, f"{strange} are not {member}'s"


def _check_journal(
    account: str, fields: dict[str, str], entries: list[Entry], grants: dict[str, Grant], held: dict[str, int]
) -> None:
    """R19: each entry is the one before plus its deltas, and the newest is the balance."""
    for before, after in pairwise(entries):
        assert after.number == before.number + 1, f"{account}: entry {after.number} follows {before.number}"
        assert after.at >= before.at, f"{account}: entry {after.number} is older than the one before"
        assert after.available == before.available + sum(change for change, _ in after.deltas.values()), after.text
        assert after.held == before.held + sum(change for _, change in after.deltas.values()), after.text
    available = Counter[str]()
    for grant in grants.values():
        assert grant.available >= 0, account
        assert grant.held >= 0, account
        available[grant.bucket] += grant.available
    newest = entries[-1] if entries else Entry("", 0, 0, "", 0, 0, {}, "", "")
    assert newest.number == int(fields.get("entries", 0)), f"{account}: its journal lacks entries"
    assert newest.available == available.total(), f"{account}: the journal says {newest.available}, grants {available}"
    assert newest.held == sum(held.values()), f"{account}: the journal says {newest.held} is held"
    if entries and entries[0].number == 1:
        for bucket in BUCKETS:
            moved = [entry.deltas.get(bucket, (0, 0)) for entry in entries]
            assert sum(credits for credits, _ in moved) == available[bucket], f"{account}: bucket {bucket}"
            assert sum(holds for _, holds in moved) == held[bucket], f"{account}: held of bucket {bucket}"


def _check_holds(account: str, mine: dict[str, dict[str, str]], grants: dict[str, Grant], held: dict[str, int]) -> None:
    """Held is the sum of the open generations' prices, per bucket and per grant."""
    by_bucket, by_grant = Counter[str](), Counter[str]()
    for generation, g in mine.items():
        shares = [share.split(":") for share in g["allocation"].split(",") if share]
        assert sum(int(amount) for _, _, amount in shares) == int(g["price"]), f"{generation}: allocation"
        if g["state"] in OPEN:
            for bucket, grant, amount in shares:
                by_bucket[bucket] += int(amount)
                by_grant[grant] += int(amount)
    assert {bucket: by_bucket[bucket] for bucket in BUCKETS} == held, f"{account}: held"
    for name, kept in grants.items():
        assert kept.held == by_grant[name], f"{account}: held of grant {name}"


def _check_counts(partition: Partition, account: str, fields: dict[str, str], mine: dict[str, dict[str, str]]) -> None:
    """R14: in work and waiting are counted right, and who waits stands in line."""
    found = Counter[str]()
    lines: defaultdict[str, set[str]] = defaultdict(set)
    for generation, g in mine.items():
        if g["state"] == "waiting":
            lines[f"{account}:{g['tool']}"].add(generation)
            found[f"waiting:{g['tool']}"] += 1
        elif g["state"] in OPEN:
            found[f"work:{g['tool']}"] += 1
    counted = {name: int(count) for name, count in fields.items() if name.startswith(("work:", "waiting:"))}
    assert counted == dict(found), f"{account}: counts {counted}, but there are {dict(found)}"
    in_line = {name: set(line) for name, line in partition.waiting.items() if name.startswith(f"{account}:")}
    assert in_line == dict(lines), f"{account}: the waiting room"


def _check_usage(partition: Partition, account: str, mine: dict[str, dict[str, str]]) -> None:
    """Usage counts exactly the generations that ended."""
    found, counted = Counter[str](), Counter[str]()
    for g in mine.values():
        if g["state"] not in OPEN:
            name = f"{g['tool']}|{g['model']}|"
            found.update(
                {
                    f"{name}generations": 1,
                    f"{name}outputs": int(g["delivered"]),
                    f"{name}credits": int(g["committed"]),
                    f"{name}refunded": int(g["refunded"]),
                    f"{name}failed": int(g["state"] == "failed"),
                }
            )
    for day, counters in partition.usage.items():
        if day.startswith(f"{account}:"):
            counted.update({name: int(count) for name, count in counters.items()})
    assert +counted == +found, f"{account}: usage"


def _check_limits(account: str, fields: dict[str, str], mine: dict[str, dict[str, str]]) -> None:
    """R26: what a key has spent in a period is held or committed by what it reserved in that period."""
    for name, text in fields.items():
        if not name.startswith("counted:"):
            continue
        key, (day, *sums) = name.removeprefix("counted:"), map(int, text.split(","))
        today, found = EPOCH + timedelta(days=day), [0, 0, 0, 0]
        for g in mine.values():
            on, *counters = g.get("counted", "").split(",")
            if key not in counters:
                continue
            then = EPOCH + timedelta(days=int(on))
            periods = (
                then == today,
                monday(then) == monday(today),
                then.strftime("%Y%m") == today.strftime("%Y%m"),
                True,
            )
            spent = int(g["price"]) if g["state"] in OPEN else int(g["committed"]) - int(g.get("given_back", 0))
            found = [sum_ + spent * within for sum_, within in zip(found, periods, strict=True)]
        assert sums == found, f"{account}: {key} has {sums}, but its generations come to {found}"


def _check_volumes(account: str, fields: dict[str, str], mine: dict[str, dict[str, str]]) -> None:
    """What was ordered of a model with graduated prices in the month of a day is in work or delivered."""
    for name, text in fields.items():
        if name.startswith("volume:"):
            day, ordered = (int(part) for part in text.split(","))
            its = (g for g in mine.values() if g["model"] == name.removeprefix("volume:") and "volume" in g)
            month = (g for g in its if _month(int(g["volume"])) == _month(day))
            found = sum(int(g["outputs"] if g["state"] in OPEN else g["delivered"]) for g in month)
            assert ordered == found, f"{account}: {name} has {ordered}, but its generations come to {found}"


def _month(day: int) -> str:
    return f"{EPOCH + timedelta(days=day):%Y%m}"


def monday(day: date) -> date:
    """The one that the day's week began with."""
    return day - timedelta(days=day.weekday())


def _check_generations(partition: Partition) -> None:
    """R9, R16: an open one has one deadline and no end; an ended one has given every credit one way or the other."""
    still_open = set()
    for generation, g in partition.generations.items():
        delivered = [name for name in g if name.startswith("output:")]
        assert len(delivered) == int(g["delivered"]), generation
        if g["state"] in OPEN:
            still_open.add(generation)
            assert f"generation:{generation}" not in partition.expiring, f"{generation} is open and would expire"
            continue
        price = int(g["price"])
        assert int(g["committed"]) == min(price * len(delivered) // int(g["outputs"]), used(g, delivered)), generation
        assert int(g["committed"]) + int(g["refunded"]) == price, generation
        assert partition.archived or f"generation:{generation}" in partition.expiring, (
            f"{generation} ended and stays for ever"
        )
        if delivered and "outputs_deleted" not in g:
            assert generation in partition.outputs, f"nobody will delete the outputs of {generation}"
    assert set(partition.deadlines) == still_open, "deadlines are not exactly the open generations"
    assert not still_open & set(partition.outputs), "outputs of an open generation would be deleted"


def _check_purchases(partition: Partition, account: str, fields: dict[str, str]) -> None:
    """R33: of a bundle's grant no more is left than its money covers, and no more is owed than was spent."""
    owed_in_all = 0
    for name, checkout in partition.checkouts.items():
        if not name.startswith(f"{account}:") or checkout.get("grant") is None:
            continue
        credits_, due, taken, owed = (int(checkout.get(field, 0)) for field in ("credits", "due", "taken", "owed"))
        owed_in_all += owed
        assert 0 <= owed <= taken <= due <= credits_, name
        grant = fields.get(f"grant:{checkout['grant']}")
        left = 0 if grant is None else sum(map(int, grant.split(",")[1:3]))
        assert left <= credits_ - (taken - owed) - int(fields.get(f"returned:{checkout['grant']}", 0)), name
        if due == credits_ and not owed and grant is not None:
            assert int(grant.split(",")[1]) == 0, f"{name}: all of it is due, and something is left"
    assert 0 <= int(fields.get("debt", 0)) <= owed_in_all, account


def _check_totals(partition: Partition) -> None:
    """The sums that operators see are right."""
    expected = Counter[str](accounts=len(partition.accounts))
    outcomes = 0
    for g in partition.generations.values():
        if g["state"] in OPEN:
            expected.update({"open": 1, "held": int(g["price"]), f"{g['state']}:{g['tool']}": 1})
        else:
            outcomes += 1
    totals = {name: int(text) for name, text in partition.totals.items()}
    counted = {name: count for name, count in totals.items() if "|" not in name and count}
    assert counted == dict(+expected), f"totals {counted}, but there is {dict(expected)}"
    assert sum(count for name, count in totals.items() if name.startswith("outcome|")) == outcomes, "outcomes"
