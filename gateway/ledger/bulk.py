"""Bulk operations of operators (R36): the generations found by a dry run, and what has been done with each of them.

The set is fixed by the dry run: whatever matches later is not touched. Each result is stored as it happens, so that the
same token goes on where a call ended or was killed; whatever was done then and not yet stored is done again with the
same operation, which changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic_core import to_json

from gateway.ledger import keys
from gateway.ledger.core import LedgerCore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOKEN_SECONDS = 600
"""A dry run's token is good for this long."""
KEPT_SECONDS = 86_400
"""And for this long after the last call that did something."""
_ABOUT = "about"


@dataclass(frozen=True, slots=True)
class Result:
    """What was done with one generation: a word, and the credits it moved."""

    word: str
    millicredits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """Its `digest` is of the request: action, filter and reason. `more`: others match, beyond the limit."""

    id: str
    action: str
    digest: str
    reason: str
    generations: tuple[str, ...]
    accounts: int
    millicredits: int
    more: bool
    expires_at: int
    results: Mapping[str, Result] = field(default_factory=dict)

    @property
    def left(self) -> list[str]:
        """Those that nothing has been done with yet."""
        return [one for one in self.generations if one not in self.results]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many had each result."""
        return Counter(result.word for result in self.results.values())

    @property
    def moved_millicredits(self) -> int:
        """The credits moved so far."""
        return sum(result.millicredits for result in self.results.values())


class BulkLedger(LedgerCore):
    """Bulk operations as stored."""

    async def keep_bulk(self, bulk: Bulk) -> None:
        """Store what a dry run found."""
        about = {
            "action": bulk.action,
            "digest": bulk.digest,
            "reason": bulk.reason,
            "generations": list(bulk.generations),
            "accounts": bulk.accounts,
            "millicredits": bulk.millicredits,
            "more": bulk.more,
            "expires_at": bulk.expires_at,
        }
        await self._note(bulk.id, [_ABOUT, json.dumps(about, separators=(",", ":"))], TOKEN_SECONDS)

    async def bulk(self, token: str) -> Bulk | None:
        """The operation of a token; None if it is unknown or has expired."""
        stored = await self.command("HGETALL", keys.bulk(token))
        fields = {name.decode(): text.decode() for name, text in stored.items()}
        if _ABOUT not in fields:
            return None
        about = json.loads(fields.pop(_ABOUT))
        results = {}
        for generation, text in fields.items():
            word, millicredits = text.split(",")
            results[generation] = Result(word, int(millicredits))
        return Bulk(id=token, results=results, **about | {"generations": tuple(about["generations"])})

    async def note_results(self, token: str, results: Mapping[str, Result]) -> None:
        """Store what was done with some."""
        flat = [text for one, result in results.items() for text in (one, f"{result.word},{result.millicredits}")]
        await self._note(token, flat, KEPT_SECONDS)

    async def which_exist(self, generations: Sequence[str]) -> set[str]:
        """Those of them that there are."""
        found = set()
        for one in generations:
            if await self.command("EXISTS", self.generation_key(one)):
                found.add(one)
        return found

    async def _note(self, token: str, flat: list[str], seconds: int) -> None:
        await self.run("note_bulk", keys.bulk(token), fields=to_json(flat).decode(), kept_seconds=seconds)
