"""What each account should have been given: an independent sum, against what its journal says.

From the card, the sign-up, what operators and purchases gave, and how clocks moved; in plain Python, with a calendar
and a reading of the card of its own. Nothing here knows the scripts, the model or `gateway`.
"""

from __future__ import annotations

import calendar
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from chaos.checks import Checks

Shown = dict[str, Any]
Gift = tuple[str, str, int]
"""Kind of the journal's entry, bucket, millicredits."""

_DAY = timedelta(days=1)
_LEFT = " left over ended"
_SET_BY = {"reset": "free", "refresh": "subscription"}
"""Kinds of entries that set a bucket's allotment; one that changes nothing names no bucket."""


@dataclass(slots=True)
class Doings:
    """What was done to one account and acknowledged. `moves`: its clock, before and after each advance."""

    gifts: Counter[Gift] = field(default_factory=Counter)
    moves: list[tuple[datetime, datetime]] = field(default_factory=list)
    plan: str = ""


class Given:
    """What operators and customers were told that accounts got, and `check` of it."""

    def __init__(self, card: Path) -> None:
        """Read the allotments of the card; a run changes its prices only."""
        read = tomllib.loads(card.read_text(), parse_float=Decimal)
        self._daily = _milli(read["free"]["daily_credits"])
        self._monthly = {name: _milli(plan["monthly_credits"]) for name, plan in read["plans"].items()}
        self.bundles = {name: _milli(bundle["credits"]) for name, bundle in read["bundles"].items()}
        self.doings: defaultdict[str, Doings] = defaultdict(Doings)

    def plan(self, account: str, plan: str) -> None:
        """The account is on this plan from now: one that it was not on before brings its allotment (R2, R12)."""
        doings = self.doings[account]
        if doings.plan != plan:
            doings.plan = plan
            doings.gifts["refresh", "subscription", self._monthly[plan]] += 1

    def grant(self, account: str, bucket: str, millicredits: int) -> None:
        """An operator's grant, or a bundle that was paid."""
        self.doings[account].gifts["grant", bucket, millicredits] += 1

    def moved(self, account: str, clock: Shown, seconds: int) -> None:
        """The account's clock was moved, to what `clock` shows."""
        after = _time(clock["now"])
        self.doings[account].moves.append((after - timedelta(seconds=seconds), after))

    def check(self, checks: Checks, account: Shown, entries: list[Shown]) -> None:
        """Compare with the whole journal, oldest first. `account` is what support sees, read after it."""
        name, doings = account["id"], self.doings[account["id"]]
        resets = 1 + sum(_midnights(*span) for span in _spans(account, doings))
        refreshes = _refreshes(account, doings) if doings.moves else 0
        expected = Counter(doings.gifts)
        expected["reset", "free", self._daily] += resets
        if refreshes:
            expected["refresh", "subscription", self._monthly[doings.plan]] += refreshes
        found = Counter(_gifts(checks, name, entries))
        missing, extra = expected - found, found - expected
        checks.that(
            not missing and not extra,
            "credits given, by an independent sum",
            f"{name} was given {_text(extra)} too much, and {_text(missing)} too little, by its journal",
        )
        if doings.moves:
            checks.seen["daily resets of moved clocks"] += resets - 1
            checks.seen["monthly refreshes of moved clocks"] += refreshes


def _spans(account: Shown, doings: Doings) -> Iterator[tuple[datetime, datetime]]:
    """The account's life as it is rolled forward: each advance, and the time between them."""
    since = _time(account["created_at"])
    for before, after in doings.moves:
        yield since, before
        yield before, after
        since = after
    yield since, _time(account["clock"]["now"])


def _midnights(since: datetime, until: datetime) -> int:
    """1 if a day begins in the span, else 0: resets that nobody saw collapse into the last one (R1)."""
    midnight = until.replace(hour=0, minute=0, second=0, microsecond=0)
    return int(since < midnight <= until)


def _refreshes(account: Shown, doings: Doings) -> int:
    """How many whole months have passed since the subscription began; each has an entry of its own (R2)."""
    if not doings.plan:
        return 0
    anchor, now = _time(account["subscription_started_at"]), _time(account["clock"]["now"])
    months = 0
    while _months_later(anchor, months + 1) <= now:
        months += 1
    return months


def _months_later(anchor: datetime, months: int) -> datetime:
    """The same day and time of a later month; of a shorter month its last day."""
    year, month = divmod(anchor.month - 1 + months, 12)
    day = min(anchor.day, calendar.monthrange(anchor.year + year, month + 1)[1])
    return anchor.replace(year=anchor.year + year, month=month + 1, day=day)


def _gifts(checks: Checks, account: str, entries: list[Shown]) -> Iterator[Gift]:
    """What the journal says was granted, reset or refreshed: the change, and what was left of the one before.

    What was left is said in the entry's reason. It cannot be more than the bucket had; and as long as nothing else can
    be in the bucket (what an upgrade left, what came back after a reset) it is all of that.
    """
    had: Counter[str] = Counter()
    held: Counter[str] = Counter()
    mixed: set[str] = set()
    for entry in entries:
        kind = entry["kind"]
        if kind == "change":
            mixed.add("subscription")
        changes = entry["buckets"] or {_SET_BY.get(kind, ""): {"credits": 0, "held": 0}}
        for bucket, change in changes.items():
            if kind in _SET_BY:
                left = _left(entry["reason"])
                if held[bucket]:
                    mixed.add(bucket)
                right = 0 <= left <= had[bucket] if bucket in mixed else left == had[bucket]
                if not right:
                    checks.problems.append(
                        f"{account}: entry {entry['id']} ended {left} of the {bucket} bucket, which had {had[bucket]}"
                    )
                yield kind, bucket, _milli(change["credits"]) + left
            elif kind == "grant":
                yield kind, bucket, _milli(change["credits"])
            had[bucket] += _milli(change["credits"])
            held[bucket] += _milli(change["held"])


def _left(reason: str) -> int:
    """`small, set to 300, 12.5 left over ended` → 12,500."""
    if not reason.endswith(_LEFT):
        return 0
    return _milli(reason.removesuffix(_LEFT).rpartition(" ")[2].replace(",", ""))


def _text(gifts: Counter[Gift]) -> str:
    found = [f"{times} × {Decimal(amount) / 1000} {bucket} ({kind})" for (kind, bucket, amount), times in gifts.items()]
    return ", ".join(found) or "nothing"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _milli(amount: Any) -> int:
    return int(Decimal(amount) * 1000)
