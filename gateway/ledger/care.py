"""What keeps generations moving: their deadlines, their dispatch, and the files of those that have ended."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from gateway.domain import operation_id, partition_of_generation
from gateway.ledger import keys, outcomes
from gateway.ledger.core import LedgerCore, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Partitions: each may have dozens of generations, and Redis serves no other client during a batch.
_PARTITIONS_AT_ONCE = 8
_RECHECKED_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Overdue:
    """A generation whose deadline has passed, as returned by `overdue`."""

    generation: str
    deadline: int


class CareOperations(LedgerCore):
    """One method per script of dispatchers and caretakers."""

    async def overdue(self, *, partition: int, limit: int = 100) -> list[Overdue]:
        """The generations of a partition whose deadline has passed, earliest first."""
        found = texts(await self._calls.run("overdue", keys.deadlines(partition), limit=limit))
        return [Overdue(found[index], int(found[index + 1])) for index in range(0, len(found), 2)]

    async def rescue(
        self, *, generation: str, deadline: int, judge_leases: bool
    ) -> outcomes.NotDue | outcomes.Requeued | outcomes.Ended:
        """Resolve an overdue generation (R16): dispatch again, promote, retry, or fail and refund."""
        word, rest = await self.run(
            "rescue",
            self.generation_key(generation),
            deadline=deadline,
            judge_leases=judge_leases,
            dispatch_ms=self.dispatch_ms,
            operation=operation_id(),
        )
        match word:
            case "ended":
                return self.ended(rest)
            case "requeued":
                return self.requeued(rest)
            case _:
                return outcomes.NotDue()

    async def dispatched(self, deadlines: Mapping[str, int]) -> frozenset[str]:
        """Extend the dispatch deadlines of generations that still have the given ones; returns those that had."""
        by_partition: defaultdict[int, list[str]] = defaultdict(list)
        for generation, deadline in deadlines.items():
            by_partition[partition_of_generation(generation)].append(f"{generation}:{deadline}")
        moved: set[str] = set()
        partitions = iter(by_partition.items())
        while some := list(islice(partitions, _PARTITIONS_AT_ONCE)):
            replies = await asyncio.gather(
                *(self.run("dispatched", keys.deadlines(partition), read=",".join(read)) for partition, read in some)
            )
            moved.update(generation for _, rest in replies for generation in texts(rest))
        return frozenset(moved)

    async def claim_outputs(self, *, partition: int, limit: int, claim_ms: int) -> list[str]:
        """Claim ended generations whose outputs are due for deletion, longest overdue first.

        They are due again after `claim_ms`, unless `outputs_deleted` confirms their deletion before.
        """
        key = keys.outputs(partition)
        return list(texts(await self._calls.run("claim_outputs", key, limit=limit, claim_ms=claim_ms)))

    async def outputs_deleted(self, *, generation: str) -> None:
        """Record that the outputs have been deleted from the object store."""
        await self.run("outputs_deleted", self.generation_key(generation))

    async def recheck(self, generations: Iterable[str]) -> int:
        """Have caretakers look at those of them that are queued, now: a pause has ended. How many those are."""
        by_partition: defaultdict[int, list[str]] = defaultdict(list)
        for generation in generations:
            by_partition[partition_of_generation(generation)].append(generation)
        moved = 0
        for partition, some in by_partition.items():
            left = iter(some)
            while ids := list(islice(left, _RECHECKED_AT_ONCE)):
                _, rest = await self.run("recheck", keys.deadlines(partition), ids=",".join(ids))
                moved += int(rest[0])
        return moved
