"""Reloads the rate card: saving the file changes prices within a second, and an invalid file changes nothing.

The file is polled by name a few times per second instead of watched by inode: editors replace it when saving, and
container mounts swap it behind a symlink. A change is read only when two polls in a row agree, so a half-written or
briefly missing file is neither used nor reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from gateway.clock import now_ms
from gateway.errors import FareboxError, RateCardError, RateCardOutdated
from gateway.pricing.card import RateCard
from gateway.pricing.load import load_card

CHECK_SECONDS = 0.25  # two polls and a read take well under a second
PUBLISH_AGAIN_SECONDS = 2.0

_log = structlog.get_logger(__name__)

Signature = tuple[int, int, int, int] | None
"""Identifies a state of the file: device, inode, size and modification time; None if it is missing."""


class RateCards:
    """Holds the current rate card: always a valid one. `problem` says why the file is not in use, or is None.

    `publish` is awaited with every card after the first: the gateway uses it to write the card's policy to the ledger.
    If it fails, the new prices apply anyway, publishing is retried until it succeeds, and `problem` reports it
    meanwhile. If a newer card is in force (RateCardOutdated), the current card is kept: an older file put back in place
    would price requests by itself while the scripts use the newer terms. That is retried too, since an operator may
    force it.

    `outdated` is set by the code that compares the card with the one in force elsewhere.
    """

    def __init__(self, path: Path, publish: Callable[[RateCard], Awaitable[None]] | None = None) -> None:
        """Load the card at `path`; RateCardError if it is invalid."""
        self._path = path
        self._publish = publish if publish is not None else _publish_nothing
        self._signature = _signature(path)
        self.loaded = self._published = load_card(path)
        self.outdated: str | None = None
        self._unpublished: RateCard | None = None
        self._publish_at = 0.0
        self._file_problem: str | None = None
        self._publish_problem: str | None = None

    @property
    def card(self) -> RateCard:
        """The card with the prices in force now, by the ledger's time."""
        return self.at(now_ms())

    def at(self, time_ms: int) -> RateCard:
        """The card with the prices in force at a time."""
        return self.loaded.at(time_ms)

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
        """Load the current file in a thread: checking a large card would block requests for too long."""
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
            return  # changed while being read: later polls will notice
        self._signature = looked
        self._file_problem = None
        self._unpublished = self._publish_problem = None
        if (card.version, card.file_time_ms) != (self.loaded.version, self.loaded.file_time_ms):
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
        if card.version != self.loaded.version:
            _log.info("rate_card_changed", path=str(self._path), version=card.version, models=len(card.models))
        self.loaded = card


async def _publish_nothing(_card: RateCard) -> None:
    """Does not publish: for workers and the command line."""


def _signature(path: Path) -> Signature:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
