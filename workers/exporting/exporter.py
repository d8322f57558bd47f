"""Sends each journal entry of the archive as an event, in the order of copying, at least once.

The cursor is in the archive and moves after a batch was accepted. So what was sent and not noted is sent again, and an
account's events are in order. The first start begins with the oldest entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge
from pydantic_core import from_json

from gateway.archive.connection import connect, time_limit, translated
from gateway.errors import ArchiveUnavailable
from gateway.json_text import to_json
from workers.exporting.cloud_events import CloudEvent, event_of
from workers.exporting.sinks import NotExported, Sink

if TYPE_CHECKING:
    from asyncpg import Connection

_AT_ONCE = 500
_IDLE_SECONDS = 1.0
_AGAIN_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0)
_ANSWER_SECONDS = 300.0  # of PostgreSQL: the first look for what is next may read much
_CURSOR = "exported"
# A range of numbers, because the index finds ranges and gives no order. There are gaps where a transaction failed.
_ENTRIES = "SELECT * FROM entries WHERE number > $1 AND number <= $2 ORDER BY number"
_NEXT = "SELECT min(number) FROM entries WHERE number > $1"
_NOTE = """
    INSERT INTO state (name, value) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""

log = structlog.get_logger(__name__)


class ExportFigures:
    """The export's metrics."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.events = Counter("farebox_exported_events", "Journal entries accepted as events.", registry=registry)
        self.failing = Gauge(
            "farebox_export_failing", "1 while the receiver of events does not accept them.", registry=registry
        )


@dataclass(slots=True)
class Exporter:
    """Exports for ever, or stands by while another process does."""

    archive_url: str
    source: str
    sink: Sink
    figures: ExportFigures
    idle_seconds: float = _IDLE_SECONDS
    again_seconds: Sequence[float] = field(default=_AGAIN_SECONDS)

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            while True:
                try:
                    await self._export_for_ever()
                except ArchiveUnavailable as error:
                    log.warning("export_waits_for_archive", error=str(error))
                    await asyncio.sleep(self.again_seconds[0])
        finally:
            await self.sink.close()

    async def _export_for_ever(self) -> None:
        archive = await connect(self.archive_url)
        try:
            with translated("export"):
                await self._until(archive, "SELECT pg_try_advisory_lock(hashtext('farebox export'))")
                await self._until(archive, "SELECT to_regclass('entries') IS NOT NULL")  # the archivist makes it
                with time_limit(archive, _ANSWER_SECONDS):
                    noted = await archive.fetchval("SELECT value FROM state WHERE name = $1", _CURSOR)
                cursor = 0 if noted is None else int(from_json(noted))
                while True:
                    events = await self._following(archive, cursor)
                    if not events:
                        await asyncio.sleep(self.idle_seconds)
                        continue
                    await self._send(events)
                    cursor = events[-1].number
                    with time_limit(archive, _ANSWER_SECONDS):
                        await archive.execute(_NOTE, _CURSOR, to_json(cursor).decode())
        finally:
            archive.terminate()

    async def _until(self, archive: Connection, condition: str) -> None:
        while True:
            with time_limit(archive, _ANSWER_SECONDS):
                if await archive.fetchval(condition):
                    return
            await asyncio.sleep(self.idle_seconds)  # PostgreSQL gives no event to wait for

    async def _following(self, archive: Connection, cursor: int) -> list[CloudEvent]:
        with time_limit(archive, _ANSWER_SECONDS):
            rows = await archive.fetch(_ENTRIES, cursor, cursor + _AT_ONCE)
            if not rows and (first := await archive.fetchval(_NEXT, cursor)) is not None:
                rows = await archive.fetch(_ENTRIES, first - 1, first - 1 + _AT_ONCE)
        return [event_of(row, self.source) for row in rows]

    async def _send(self, events: Sequence[CloudEvent]) -> None:
        """Send a batch until it is accepted: nothing may be left out."""
        for attempt in count():
            try:
                await self.sink.send(events)
            except NotExported as error:
                if attempt == 0:
                    log.warning("events_not_accepted", error=str(error), events=len(events))
                self.figures.failing.set(1)
                await asyncio.sleep(self.again_seconds[min(attempt, len(self.again_seconds) - 1)])
                continue
            self.figures.failing.set(0)
            self.figures.events.inc(len(events))
            return
