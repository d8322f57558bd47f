"""Reloads the rate card: saving the file changes prices within a second, and an invalid file changes nothing.

The file is polled by name a few times per second instead of watched by inode: editors replace it when saving, and
container mounts swap it behind a link. A change is read only when two polls in a row agree, so that a half-written or
briefly missing file is neither used nor reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from gateway.errors import FareboxError, RateCardError, RateCardOutdated
from gateway.pricing.card import RateCard
from gateway.pricing.load import load_card

CHECK_SECONDS = 0.25  # two polls and the reading stay well within a second
PUBLISH_AGAIN_SECONDS = 2.0

_log = structlog.get_logger(__name__)

Signature = tuple[int, int, int, int] | None
"""Identifies a state of the file: device, inode, size and modification time; None if it is missing."""


class RateCards:
    """Holds the current rate card. `card` is always a valid one; `problem` says why the file is not it, or is None.

    `publish` is awaited with every card after the first: the gateway writes the card's policy to the ledger there. If
    it fails the new prices stand and it is tried again until it works; `problem` says so meanwhile. If it says that a
    newer card is in force (RateCardOutdated), the card before stays: an older file that was put back would sell by its
    prices, while the scripts go by the newer terms. It is tried again too, for it may be put in force by hand.

    `outdated` is for whoever compares the card with the one in force elsewhere.
    """

    def __init__(self, path: Path, publish: Callable[[RateCard], Awaitable[None]] | None = None) -> None:
        """Load the card at `path`; RateCardError if it does not hold."""
        self._path = path
        self._publish = publish if publish is not None else _publish_nothing
        self._signature = _signature(path)
        self.card = self._published = load_card(path)
        self.outdated: str | None = None
        self._unpublished: RateCard | None = None
        self._publish_at = 0.0
        self._file_problem: str | None = None
        self._publish_problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the file on disk is not in force, for `/readyz` and the metrics."""
        return self._file_problem or self._publish_problem or self.outdated

    async def watch(self) -> None:
        """Follow the file until cancelled, whatever happens to it."""
        seen = self._signature
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            looked = await asyncio.to_thread(_signature, self._path)
            if looked == seen and looked != self._signature:
                await self._take(looked)
            seen = looked
            if self._unpublished is not None and loop.time() >= self._publish_at:
                await self._publish_card(self._unpublished)
                self._publish_at = loop.time() + PUBLISH_AGAIN_SECONDS

    async def _take(self, looked: Signature) -> None:
        """Load the file as it is now, in a thread: proving a large card takes longer than a request may wait."""
        try:
            card = await asyncio.to_thread(load_card, self._path)
        except RateCardError as error:
            self._signature = looked
            self._file_problem = str(error)
            _log.warning("rate_card_refused", path=str(self._path), faults=list(error.messages))
            return
        except Exception:  # noqa: BLE001 - a fault of ours must not end the watch, or no later card would ever be taken
            self._signature = looked
            self._file_problem = f"{self._path}: could not be read because of a bug in Farebox; see the log"
            _log.exception("rate_card_refused", path=str(self._path))
            return
        if await asyncio.to_thread(_signature, self._path) != looked:
            return  # written while being read: the next polls will notice
        self._signature = looked
        self._file_problem = None
        self._unpublished = self._publish_problem = None
        if (card.version, card.file_time_ms) != (self.card.version, self.card.file_time_ms):
            await self._publish_card(card)
            self._publish_at = asyncio.get_running_loop().time() + PUBLISH_AGAIN_SECONDS

    async def _publish_card(self, card: RateCard) -> None:
        """Publish a card, then use it; see the class for failures."""
        problem: str | None = None
        try:
            await self._publish(card)
        except RateCardOutdated as error:
            self._sell_by(self._published)
            problem = str(error)
        except FareboxError as error:
            self._sell_by(card)
            problem = f"the new rate card is not published to the ledger yet: {error}"
        except Exception:  # noqa: BLE001 - as above
            self._sell_by(card)
            problem = "the new rate card is not published to the ledger yet; see the log"
            _log.exception("rate_card_unpublished", version=card.version)
        else:
            self._sell_by(card)
            self._published = card
        if problem is not None and problem != self._publish_problem:
            _log.warning("rate_card_unpublished", version=card.version, error=problem)
        self._publish_problem = problem
        self._unpublished = None if problem is None else card

    def _sell_by(self, card: RateCard) -> None:
        if card.version != self.card.version:
            _log.info("rate_card_changed", path=str(self._path), version=card.version, models=len(card.models))
        self.card = card


async def _publish_nothing(_card: RateCard) -> None:
    """Does not publish: for workers and the command line."""


def _signature(path: Path) -> Signature:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
