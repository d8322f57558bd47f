"""Checks single generations: each open one has a deadline, each ended one has settled its price."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from gateway.domain import OPEN_STATES, EntryKind, State, format_credits, partition_of_generation
from gateway.errors import LedgerBroken
from gateway.ledger import keys
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.rechecking import UNREADABLE, Findings, readable, unreadable
from gateway.ledger.audit.report import AuditDifference, DifferenceKind
from gateway.ledger.generation_records import decode_allocation
from gateway.ledger.metering_records import decode_metering, decode_reports
from gateway.ledger.records import decode_entry, pairs
from gateway.ledger.retention import Kept
from gateway.metering import MILLIONTHS, NANOCREDITS_PER_MILLICREDIT

GENERATIONS_AT_ONCE = 100
"""How many generations one script reads, with their entries in every index."""

_DAY_MS = 86_400_000
_SETTLING = frozenset({EntryKind.RESERVE, EntryKind.COMMIT, EntryKind.REFUND})


async def check_generations(reader: Reader, generations: Sequence[str]) -> Findings:
    """Check up to GENERATIONS_AT_ONCE generations of one partition against their indexes and journal entries."""
    findings = Findings()
    key = keys.deadlines(partition_of_generation(generations[0]))
    try:
        _, (now, *rows) = await reader.run("audit_generations", key, ids=",".join(generations))
    except LedgerBroken:
        if len(generations) == 1:
            raise
        for generation in generations:  # one of them is not a hash: find out which
            findings.add(await readable(f"generation {generation}", partial(check_generations, reader, [generation])))
        return findings
    for name, flat in zip(generations, rows, strict=True):
        fields = pairs(flat)
        if fields["lives_ms"] == "-2":  # expired after it was listed
            continue
        findings.generations += 1
        findings.differences += _differences(name, fields, int(now), reader.kept)
    return findings


def _differences(name: str, fields: Mapping[str, str], now: int, kept: Kept) -> list[AuditDifference]:
    subject, account = f"generation {name}", fields.get("account")
    try:
        findings = list(_Generation(fields, now, kept).findings())
    except UNREADABLE as error:
        return [unreadable(subject, error)]
    return [
        AuditDifference(kind=kind, subject=subject, account=account, generation=name, expected=expected, found=found)
        for kind, expected, found in findings
    ]


Finding = tuple[DifferenceKind, str, str]
"""A difference of a generation: kind, expected, found."""


@dataclass(frozen=True, slots=True)
class _Generation:
    """A generation in a reply of `audit_generations`. KeyError or ValueError: its data is malformed."""

    fields: Mapping[str, str]
    now: int
    kept: Kept

    def number(self, name: str) -> int:
        return int(self.fields[name])

    @property
    def state(self) -> State:
        return State(self.fields["state"])

    @property
    def open(self) -> bool:
        return self.state in OPEN_STATES

    def findings(self) -> Iterator[Finding]:
        """All differences."""
        if self.fields["account_exists"] == "0":
            yield DifferenceKind.ORPHAN, f"its account {self.fields['account']}", "no such account"
        yield from self._indexes()
        yield from self._credits()
        yield from (self._open_entries() if self.open else self._settled())

    def _indexes(self) -> Iterator[Finding]:
        """R16, R14: it is in `deadlines` and the waiting room exactly if its state requires it."""
        in_deadlines, waits = "in_deadlines" in self.fields, self.state is State.WAITING
        if in_deadlines != self.open:
            wanted, there = ("one deadline", "none") if self.open else ("no deadline, because it has ended", "one")
            yield DifferenceKind.DEADLINE, wanted, there
        if waits != ("in_waiting" in self.fields):
            wanted = "a place in the waiting room" if waits else f"none in the waiting room, because it is {self.state}"
            yield DifferenceKind.WAITING, wanted, "none" if waits else "one"
        listed = "in_recent" in self.fields or self.number("created_at") < self.now - self.kept.lists_ms + _DAY_MS
        if not listed:
            yield DifferenceKind.RECENT, "a place in its account's list of generations", "none"
        lives = self.number("lives_ms") >= 0
        if lives == self.open and (self.open or not self.kept.archived):
            wanted = "no TTL while it is open" if self.open else "a TTL, because it has ended"
            yield DifferenceKind.LIFETIME, wanted, "a TTL" if lives else "none"
        in_outputs = "in_outputs" in self.fields
        if self.open and in_outputs:
            yield DifferenceKind.OUTPUTS, "no time to delete its outputs, because it is open", "a time to delete them"
        undeleted = not self.open and self.number("delivered") > 0 and "outputs_deleted" not in self.fields
        if undeleted and not in_outputs:
            yield DifferenceKind.OUTPUTS, "a time to delete its outputs", "none"

    def _credits(self) -> Iterator[Finding]:
        """The allocation sums to the price, and the delivered outputs exist."""
        drawn = sum(share.millicredits for share in decode_allocation(self.fields["allocation"]))
        if drawn != self.number("price"):
            wanted = f"an allocation of its price of {format_credits(self.number('price'))}"
            yield DifferenceKind.SETTLED, wanted, format_credits(drawn)
        if self.number("delivered") != self.number("outputs_stored"):
            yield DifferenceKind.SETTLED, f"{self.fields['delivered']} outputs delivered", self.fields["outputs_stored"]

    def _moved(self) -> tuple[int, int]:
        """Its own entries' total changes to available and held credits, without what then lapsed or was revoked."""
        entries = [decode_entry(line) for line in self.fields["entries"].split("\n") if line]
        settling = [entry for entry in entries if entry.kind in _SETTLING]
        return (
            sum(entry.credits_millicredits for entry in settling),
            sum(entry.held_millicredits for entry in settling),
        )

    def _open_entries(self) -> Iterator[Finding]:
        price = self.number("price")
        if self._moved() != (-price, price):
            yield (
                DifferenceKind.SETTLED,
                f"entries that hold its price of {format_credits(price)}",
                _moved_text(self._moved()),
            )

    def _settled(self) -> Iterator[Finding]:
        """R9: floor(price × delivered / outputs) committed, or what was used of it; the rest refunded, nothing held."""
        price, committed, refunded = self.number("price"), self.number("committed"), self.number("refunded")
        share = price * self.number("delivered") // self.number("outputs")
        if "charged" in self.fields:  # not if a process of a version without reported units ended it, at the ceiling
            share = min(share, self._used())
        if committed != share:
            wanted = (
                f"{format_credits(share)} committed for {self.fields['delivered']} of {self.fields['outputs']} outputs"
            )
            yield DifferenceKind.SETTLED, wanted, format_credits(committed)
        if committed + refunded != price:
            wanted = f"committed and refunded to be its price, {format_credits(price)}"
            yield DifferenceKind.SETTLED, wanted, format_credits(committed + refunded)
        if self._moved() != (-committed, 0):
            wanted = f"entries that take {format_credits(committed)} and hold nothing"
            yield DifferenceKind.SETTLED, wanted, _moved_text(self._moved())

    def _used(self) -> int:
        """R29: what the delivered outputs cost by what was reported of them, rounded up once."""
        metering = decode_metering(self.fields["meters"])
        reports = [decode_reports(text) for name, text in self.fields.items() if name.startswith("reported:")]
        nanocredits = Fraction(metering.fixed_nanocredits * len(reports), self.number("outputs"))
        for meter in metering.meters:
            for reported in reports:
                said = reported.get(meter.unit, meter.unreported)
                count = meter.at_most if said is None or not 0 <= said <= meter.at_most else said
                nanocredits += Fraction(count * meter.nanocredits, MILLIONTHS)
        return math.ceil(nanocredits / NANOCREDITS_PER_MILLICREDIT)


def _moved_text(moved: tuple[int, int]) -> str:
    return f"entries that take {format_credits(-moved[0])} and hold {format_credits(moved[1])}"
