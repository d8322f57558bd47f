"""Generations of all accounts as operators look for them (R36): the open ones, those that failed, those charged for.

Nothing lists all generations. The open ones are those with a deadline, the failed ones are listed for operators, and
those charged for have outputs to delete some day; an account has its own list. Each script reads a few hundred.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

from gateway.domain import OPEN_STATES, FailureCode, State, partition_of_account
from gateway.ledger import keys
from gateway.ledger.core import LedgerCore
from gateway.ledger.pause_records import Pause, decode_pause
from gateway.ledger.records import optional, pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.redis_link.calls import Reply

READ_AT_ONCE = 200
_SETS_AT_ONCE = 8  # their scripts may share a pipeline, during which Redis serves no other client
EXAMINED_MAX = 20_000
"""So many generations one call reads, a second of Redis's time at most, in scripts of 2 ms."""


class Kind(StrEnum):
    """What is looked for."""

    OPEN = "open"
    FAILED = "failed"
    CHARGED = "charged"


_STATES: Mapping[Kind, frozenset[State]] = {
    Kind.OPEN: OPEN_STATES,
    Kind.FAILED: frozenset({State.FAILED}),
    Kind.CHARGED: frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationFilter:
    """Which generations: all that match each filter. Times are real time (ms), the second exclusive."""

    account: str | None = None
    tool: str | None = None
    model: str | None = None
    provider: str | None = None
    state: State | None = None
    code: FailureCode | None = None
    created_after: int | None = None
    created_before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundGeneration:
    """A generation without what was asked for and what was made. Times are real time (ms)."""

    id: str
    account: str
    key: str | None
    tool: str
    model: str
    provider: str
    state: State
    error: FailureCode | None
    price_millicredits: int
    committed_millicredits: int
    refunded_millicredits: int
    given_back_millicredits: int
    outputs: int
    delivered: int
    progress_thousandths: int
    attempt: int
    failures: int
    parked: bool
    waits_for_slot: bool
    provider_ref: str | None
    cancel_requested: bool
    created_at: int
    queued_at: int | None
    started_at: int | None
    finished_at: int | None
    deadline: int | None
    """When the ledger next looks at it; None: it has ended."""
    gives_up_at: int | None
    """When it is ended if nothing else happens; None: its time does not run, or it has ended."""
    pause: Pause | None
    """What holds it; None: it may start."""

    @property
    def held_millicredits(self) -> int:
        """What it holds: nothing once it has ended."""
        return self.price_millicredits if self.state in OPEN_STATES else 0


@dataclass(frozen=True, slots=True)
class Finds:
    """What was found, in no order. `complete`: nothing that matches was left unread."""

    data: tuple[FoundGeneration, ...]
    examined: int
    complete: bool


class FindOperations(LedgerCore):
    """Looking for generations of all accounts."""

    async def find(
        self, *, kind: Kind, only: GenerationFilter, enough: int | None = None, examine: int = EXAMINED_MAX
    ) -> Finds:
        """Those of a kind that match, as far as `examine` generations reach.

        Open ones are all read. Of the others, each set is read from the newest on, until `enough` in it match.
        """
        sets = self._sets(kind, only.account)
        cursors, matches = dict.fromkeys(sets, "0"), dict.fromkeys(sets, 0)
        found: dict[str, FoundGeneration] = {}
        examined = 0
        while cursors and examined < examine:
            waiting = iter(list(cursors))
            while some := list(islice(waiting, _SETS_AT_ONCE)):
                pages = await asyncio.gather(*(self._page(one, cursors[one], kind, only) for one in some))
                for one, (cursor, read, page) in zip(some, pages, strict=True):
                    examined += read
                    matches[one] += len(page)
                    found |= {each.id: each for each in page}
                    cursors[one] = cursor
                    if cursor == "0" or (kind is not Kind.OPEN and enough is not None and matches[one] >= enough):
                        del cursors[one]
                if examined >= examine:
                    break
        return Finds(tuple(found.values()), examined, not cursors)

    def _sets(self, kind: Kind, account: str | None) -> Sequence[str]:
        if account is None:
            spell = {Kind.OPEN: keys.deadlines, Kind.FAILED: keys.failed, Kind.CHARGED: keys.outputs}[kind]
            return [spell(partition) for partition in range(self.partitions)]
        partition = partition_of_account(account, self.partitions)
        return [keys.deadlines(partition) if kind is Kind.OPEN else keys.recent(partition, account)]

    async def _page(
        self, key: str, cursor: str, kind: Kind, only: GenerationFilter
    ) -> tuple[str, int, list[FoundGeneration]]:
        states = _STATES[kind] if only.state is None else _STATES[kind] & {only.state}
        _, rest = await self.run(
            "find",
            key,
            newest=kind is not Kind.OPEN,
            cursor=cursor,
            limit=READ_AT_ONCE,
            account=only.account,
            states=",".join(sorted(states)) or "none",
            tool=only.tool,
            model=only.model,
            provider=only.provider,
            code=only.code,
            created_after=only.created_after,
            created_before=only.created_before,
        )
        page = [_found(item) for item in rest[2:]]
        if kind is Kind.CHARGED:
            page = [one for one in page if one.committed_millicredits]
        return rest[0].decode(), int(rest[1]), page


def _found(item: Reply) -> FoundGeneration:
    identifier, deadline, provider, gives_up_at = (text.decode() for text in item[:4])
    fields = pairs(item[5:])
    return FoundGeneration(
        id=identifier,
        account=fields["account"],
        key=fields.get("key"),
        tool=fields["tool"],
        model=fields["model"],
        provider=provider,
        state=State(fields["state"]),
        error=FailureCode(fields["error"]) if fields.get("error") else None,
        price_millicredits=int(fields["price"]),
        committed_millicredits=int(fields.get("committed", 0)),
        refunded_millicredits=int(fields.get("refunded", 0)),
        given_back_millicredits=int(fields.get("given_back", 0)),
        outputs=int(fields["outputs"]),
        delivered=int(fields["delivered"]),
        progress_thousandths=int(fields.get("progress", 0)),
        attempt=int(fields["attempt"]),
        failures=int(fields["failures"]),
        parked="parked" in fields,
        waits_for_slot="in_line" in fields,
        provider_ref=fields.get("ref"),
        cancel_requested="cancel_requested" in fields,
        created_at=int(fields["created_at"]),
        queued_at=optional(fields, "queued_at"),
        started_at=optional(fields, "started_at"),
        finished_at=optional(fields, "finished_at"),
        deadline=int(deadline) if deadline else None,
        gives_up_at=int(gives_up_at) if gives_up_at else None,
        pause=decode_pause(item[4]) if item[4] else None,
    )
