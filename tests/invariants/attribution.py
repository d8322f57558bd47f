"""R28: usage by key, by member and by tag, proved from the generations and from the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.invariants.checks import Entry

ENDED = {"succeeded", "failed", "cancelled"}
SUMS = ("generations", "outputs", "credits", "failed", "refunded")

Days = Mapping[str, Mapping[str, str]]
"""Account and day → row → its sums."""


def check_attribution(
    account: str, mine: Mapping[str, Mapping[str, str]], entries: Sequence[Entry], stored: Mapping[str, Days]
) -> None:
    """R28: usage by key and by tag is that of the generations that have them, and by key what the journal says."""
    wanted = {"keys": Counter[str](), "tags": Counter[str]()}
    for g in mine.values():
        if g["state"] not in ENDED:
            continue
        sums = (1, int(g["delivered"]), int(g["committed"]), int(g["state"] == "failed"), int(g["refunded"]))
        by = [("keys", f"{g.get('key', '')}|{g.get('member', '')}")] if "key" in g or "member" in g else []
        for part, row in [*by, *(("tags", line) for line in g.get("tags", "").split("\n") if line)]:
            of = f"{g['tool']}|{g['model']}|{row}"
            wanted[part].update({f"{of}|{name}": sum_ for name, sum_ in zip(SUMS, sums, strict=True)})
    for part, days in stored.items():
        assert +_summed(days, account) == +wanted[part], f"{account}: usage by {part}"
    if entries and entries[0].number == 1:
        moved, counted = Counter[str](), Counter[str]()
        for entry in entries:
            if entry.kind in {"commit", "refund"} and entry.by.strip(","):  # with a reason alone it is ","
                moved[f"{entry.kind}|{entry.by}"] -= sum(held for _, held in entry.deltas.values())
        for name, sum_ in wanted["keys"].items():
            _, _, key, member, counter = name.split("|")
            if counter in {"credits", "refunded"}:
                counted[f"{'commit' if counter == 'credits' else 'refund'}|{key},{member}"] += sum_
        assert +counted == +moved, f"{account}: usage by key, and the journal"


def _summed(days: Days, account: str) -> Counter[str]:
    """The sums of all days by row and counter."""
    found = Counter[str]()
    for day, rows in days.items():
        if day.startswith(f"{account}:"):
            for row, numbers in rows.items():
                sums = map(int, numbers.split(","))
                found.update({f"{row}|{name}": sum_ for name, sum_ in zip(SUMS, sums, strict=True)})
    return found
