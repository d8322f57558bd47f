"""How long the ledger keeps what has ended: set for each gateway, published with the policy, read by every script.

So all processes trim alike, whatever their own settings; gateways that are set otherwise say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

_DAY_MS = 86_400_000
RECORD_DAYS = 30
"""An ended generation is kept for so long, or as long as its outputs if that is longer."""

OPEN_DAYS = 10
"""A list counts from when a generation was made, its record from its end: more than any is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """In days: outputs after the end, a generation in its account's list, journal entries, counters of usage."""

    outputs: int = RECORD_DAYS
    lists: int = RECORD_DAYS + OPEN_DAYS
    journal: int = 400
    usage: int = 400

    @property
    def outputs_ms(self) -> int:
        """How long outputs are kept after the end, in milliseconds: written into each generation."""
        return self.outputs * _DAY_MS

    @property
    def fields(self) -> Mapping[str, str]:
        """Fields of the policy, in milliseconds."""
        return {f"keep:{name}": str(days * _DAY_MS) for name, days in asdict(self).items()}

    @property
    def journal_ms(self) -> int:
        """How long journal entries are kept, in milliseconds."""
        return self.journal * _DAY_MS

    @property
    def further(self) -> list[str]:
        """The other fields, as `publish` takes them: name and value in turn."""
        return [text for field in self.fields.items() if field[0] != "keep:journal" for text in field]

    def as_published(self, published: Mapping[str, str]) -> Retention:
        """What gateways have published, and where they have published nothing, this."""
        days = {
            name: int(published[field]) // _DAY_MS
            for name, field in zip(asdict(self), self.fields, strict=True)
            if field in published
        }
        return replace(self, **days)

    def difference(self, published: Mapping[str, str]) -> str | None:
        """What another gateway has published otherwise, in a sentence; None if nothing."""
        names = {"outputs": "OUTPUT", "lists": "LIST", "journal": "JOURNAL", "usage": "USAGE"}
        found = [
            f"FAREBOX_{names[name]}_DAYS is {days} here and {int(published[field]) // _DAY_MS} at another gateway"
            for (name, days), field in zip(asdict(self).items(), self.fields, strict=True)
            if field in published and published[field] != self.fields[field]
        ]
        return "; ".join(found) + ": configure all gateways the same and restart them" if found else None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept by the ledger's own word; of journals the least that was ever set, for what is trimmed is gone."""

    lists_ms: int
    journal_least_ms: int

    @classmethod
    def read(cls, policy: Mapping[str, str]) -> Kept:
        """From the policy; one from before this was a setting says nothing of it."""
        usual = Retention().fields
        return cls(
            int(policy.get("keep:lists", usual["keep:lists"])),
            int(policy.get("keep:journal_least", policy.get("keep:journal", usual["keep:journal"]))),
        )
