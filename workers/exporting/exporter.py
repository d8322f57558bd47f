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
from gateway.archive.rows import moment
from gateway.clock import now_ms
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
CURSOR = "exported"
"""The name in `state` of the number of the last entry that was accepted."""
REFUSED = "export_refused"
"""The name in `state` of since when the receiver has refused events, and why."""
CLAIM = "farebox export"
NEWEST = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM entries_number_seq"
"""The number of the newest entry, or of a later one that was not written in the end."""
# A range of numbers, because the index finds ranges and gives no order. There are gaps where a transaction failed.
_ENTRIES = "SELECT * FROM entries WHERE number > $1 AND number <= $2 ORDER BY number"
_NEXT = "SELECT min(number) FROM entries WHERE number > $1"
_NOTE = """
    INSERT INTO state (name, value) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_NOTE_FIRST = "INSERT INTO state (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"

log = structlog.get_logger(__name__)


class ExportFigures:
    """The export's metrics."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.events = Counter("farebox_exported_events", "Journal entries accepted as events.", registry=registry)
        self.failing = Gauge(
            "farebox_export_failing", "1 while the receiver of events does not accept them.", registry=registry
        )
        self.waiting = Gauge(
            "farebox_export_waiting",
            "Journal entries in the archive that are not accepted as events yet: so many at most.",
            registry=registry,
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
    _is_refused: bool = True  # it may be noted by the process before

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
                await self._until(archive, f"SELECT pg_try_advisory_lock(hashtext('{CLAIM}'))")
                await self._until(archive, "SELECT to_regclass('entries') IS NOT NULL")  # the archivist makes it
                with time_limit(archive, _ANSWER_SECONDS):
                    noted = await archive.fetchval("SELECT value FROM state WHERE name = $1", CURSOR)
                cursor = 0 if noted is None else int(from_json(noted))
                while True:
                    events = await self._following(archive, cursor)
                    if not events:
                        self.figures.waiting.set(0)
                        await asyncio.sleep(self.idle_seconds)
                        continue
                    await self._send(archive, events)
                    cursor = events[-1].number
                    with time_limit(archive, _ANSWER_SECONDS):
                        await archive.execute(_NOTE, CURSOR, to_json(cursor).decode())
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

    async def _send(self, archive: Connection, events: Sequence[CloudEvent]) -> None:
        """Send a batch until it is accepted: nothing may be left out."""
        for attempt in count():
            with time_limit(archive, _ANSWER_SECONDS):
                self.figures.waiting.set(await archive.fetchval(NEWEST) - events[0].number + 1)
            try:
                await self.sink.send(events)
            except NotExported as error:
                self.figures.failing.set(1)
                if attempt == 0:
                    log.warning("events_not_accepted", error=str(error), events=len(events))
                    await self._note_refusal(archive, str(error))
                await asyncio.sleep(self.again_seconds[min(attempt, len(self.again_seconds) - 1)])
                continue
            self.figures.failing.set(0)
            self.figures.events.inc(len(events))
            if self._is_refused:
                with time_limit(archive, _ANSWER_SECONDS):
                    await archive.execute("DELETE FROM state WHERE name = $1", REFUSED)
                self._is_refused = False
            return

    async def _note_refusal(self, archive: Connection, error: str) -> None:
        """Note it for `farebox doctor`, unless it is one in a series."""
        value = to_json({"since": moment(now_ms()).isoformat(timespec="seconds"), "error": error}).decode()
        with time_limit(archive, _ANSWER_SECONDS):
            await archive.execute(_NOTE_FIRST, REFUSED, value)
        self._is_refused = True
