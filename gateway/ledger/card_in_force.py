"""Whether a process's rate card is the one in force, whose policy the ledger's scripts use.

The policy's version is the file's digest, ordered by the file's time. Gateways publish a newer card; every process with
a different card reports it in the log, `/readyz` and the metrics. Meanwhile it uses its own file, as happens during
every rollout: prices and receipts match, and each receipt names its card.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from gateway.errors import LedgerUnavailable, RateCardOutdated
from gateway.ledger.policy_of_card import policy_of

if TYPE_CHECKING:
    from gateway.ledger.ledger import Ledger
    from gateway.ledger.policy import PolicyInForce
    from gateway.pricing.card import RateCard
    from gateway.pricing.reload import RateCards

CHECK_SECONDS = 2.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class CardInForce:
    """Compares a process's card with the ledger's policy; if `publishes`, it publishes a newer card.

    Otherwise it checks one partition at a time: a card is put in force in all of them, so workers, which may be many,
    need not read every partition every two seconds.
    """

    ledger: Ledger
    cards: RateCards
    publishes: bool
    _checks: int = 0

    async def publish(self, card: RateCard) -> None:
        """Put a card in force; RateCardOutdated, with what to do, if a newer one is."""
        policy = await asyncio.to_thread(policy_of, card)
        if await self.ledger.publish(policy):
            return
        found = await self.ledger.policies_in_force()
        if any(one is None or one.version != card.version for one in found):
            raise RateCardOutdated(outdated(card, found))
        # The same card is in force with a later file time, but the retention published with it may have changed.
        latest = max(one.file_time_ms for one in found if one is not None)
        await self.ledger.publish(replace(policy, file_time_ms=latest))

    async def check(self) -> None:
        """Compare now. If the ledger has an older card, or has lost it, publish the newer one again."""
        card = self.cards.card
        partitions = None if self.publishes else [self._checks % self.ledger.partitions]
        self._checks += 1  # incremented first: a partition that does not respond is skipped, not retried forever
        found = await self.ledger.policies_in_force(partitions)
        problem = outdated(card, found) if any(one is None or one.version != card.version for one in found) else None
        if problem is not None and self.publishes and _is_newer(card, found):
            await self.publish(card)
            problem = None
        if problem is not None and problem != self.cards.outdated:
            log.warning("RATE_CARD_DIFFERS", problem=problem)
        if problem is None and self.cards.outdated is not None:
            log.info("rate_card_in_sync", version=card.version)
        self.cards.outdated = problem

    async def watch(self) -> None:
        """Compare every few seconds, forever."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self.check_if_reachable()

    async def check_if_reachable(self) -> None:
        """Compare, if the ledger responds; an outage is reported elsewhere."""
        with contextlib.suppress(LedgerUnavailable, RateCardOutdated):  # the second: another one was just published
            await self.check()


def outdated(card: RateCard, found: list[PolicyInForce | None]) -> str:
    """The problem and its fix, for a card that is not in force."""
    others = [one for one in found if one is not None and one.version != card.version]
    own = f"{card.path} ({_named(card.version, card.file_time_ms)})"
    if not others:
        return f"{own} is not published to the whole ledger yet: start a gateway with it"
    newest = max(others, key=lambda one: one.file_time_ms)
    way = "is older than"
    if newest.file_time_ms == card.file_time_ms:
        way = "has the same time as but different contents from"
    elif newest.file_time_ms < card.file_time_ms:
        way = "is newer than"
    command = shlex.join(["farebox", "pricing", "publish", "--force", card.path])
    return (
        f"{own} {way} the rate card in force ({_named(newest.version, newest.file_time_ms)}): replace it with that "
        f"file, or publish this one with `{command}`"
    )


def _is_newer(card: RateCard, found: list[PolicyInForce | None]) -> bool:
    return all(one is None or one.version == card.version or one.file_time_ms < card.file_time_ms for one in found)


def _named(version: str, file_time_ms: int) -> str:
    at = datetime.fromtimestamp(file_time_ms / 1000, UTC)
    return f"{version[:19]}, of {at:%Y-%m-%d %H:%M:%S} UTC"
