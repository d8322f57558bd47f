"""How long the ledger keeps ended generations: set per gateway, published with the policy, read by every script.

So all processes trim alike, whatever their own settings; a gateway with different settings reports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

_DAY_MS = 86_400_000
RECORD_DAYS = 30
"""How long an ended generation is kept, or as long as its outputs if that is longer."""

OPEN_DAYS = 10
"""Lists count from a generation's creation, records from its end; no generation is open for longer than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """In days: outputs after the end, generations in their account's list, journal entries, usage counters.

    A plan may say otherwise of its outputs; `publish` then keeps lists as long as those need (`keep:lists`).
    """

    outputs: int = RECORD_DAYS
    lists: int = RECORD_DAYS + OPEN_DAYS
    journal: int = 400
    usage: int = 400

    @property
    def outputs_ms(self) -> int:
        """How long outputs are kept after the end, in milliseconds; stored in each generation."""
        return self.outputs * _DAY_MS

    @property
    def fields(self) -> Mapping[str, str]:
        """The policy's fields, in milliseconds."""
        return {f"keep:{name}": str(days * _DAY_MS) for name, days in asdict(self).items()}

    @property
    def journal_ms(self) -> int:
        """How long journal entries are kept, in milliseconds."""
        return self.journal * _DAY_MS

    @property
    def further(self) -> list[str]:
        """The other fields as `publish` expects them: names and values in turn."""
        return [text for field in self.fields.items() if field[0] != "keep:journal" for text in field]

    def as_published(self, published: Mapping[str, str]) -> Retention:
        """The published retention; what is not published is taken from this."""
        told = _as_set(published)
        days = {
            name: int(told[field]) // _DAY_MS
            for name, field in zip(asdict(self), self.fields, strict=True)
            if field in told
        }
        return replace(self, **days)

    def difference(self, published: Mapping[str, str]) -> str | None:
        """How another gateway's published retention differs, as a sentence; None if it does not."""
        told = _as_set(published)
        names = {"outputs": "OUTPUT", "lists": "LIST", "journal": "JOURNAL", "usage": "USAGE"}
        found = [
            f"FAREBOX_{names[name]}_DAYS is {days} here and {int(told[field]) // _DAY_MS} at another gateway"
            for (name, days), field in zip(asdict(self).items(), self.fields, strict=True)
            if field in told and told[field] != self.fields[field]
        ]
        return "; ".join(found) + ": configure all gateways the same and restart them" if found else None


def _as_set(published: Mapping[str, str]) -> dict[str, str]:
    """The published retention as the gateway was set, without what plans add to lists."""
    return {**published, **({"keep:lists": published["keep:lists_set"]} if "keep:lists_set" in published else {})}


@dataclass(frozen=True, slots=True)
class Kept:
    """The ledger's actual retention. For journals the shortest ever set, since trimmed entries are gone."""

    lists_ms: int
    journal_least_ms: int
    archived: bool
    """Whether there is an archive: what has ended then expires by trimming, not by itself."""

    @classmethod
    def read(cls, policy: Mapping[str, str]) -> Kept:
        """Read it from the policy; policies of older versions do not have it."""
        usual = Retention().fields
        return cls(
            int(policy.get("keep:lists", usual["keep:lists"])),
            int(policy.get("keep:journal_least", policy.get("keep:journal", usual["keep:journal"]))),
            policy.get("archive") == "1",
        )
