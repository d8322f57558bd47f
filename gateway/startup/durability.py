"""Monitors whether the ledger's Redis is durable: at start, and every few seconds afterwards.

Settings may change under a running gateway: manually, or by a failover to a server configured differently. Weaknesses
are in `/readyz` while they last, and logged when they start and end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from gateway.errors import LedgerUnavailable, SettingsError
from gateway.ledger.ledger import Ledger
from gateway.startup.readiness import Startup

_CHECK_SECONDS = 5.0

log = structlog.get_logger(__name__)


async def check_durability(ledger: Ledger, startup: Startup, *, required: bool) -> None:
    """Record weaknesses; if durability is required, SettingsError names each one and its fix."""
    weaknesses = await ledger.durability()
    if weaknesses and required:
        raise SettingsError(
            "FAREBOX_REQUIRE_DURABLE is set, but the ledger's Redis is not durable:\n- " + "\n- ".join(weaknesses)
        )
    _note(startup, [*weaknesses, *await ledger.shortages()])
    for hint in await ledger.memory_warnings():
        log.info("ledger_memory_hint", hint=hint)
    for hint in await ledger.failover_hints():
        log.info("ledger_failover_hint", hint=hint)


async def watch_durability(ledger: Ledger, startup: Startup) -> None:
    """Check again every few seconds, forever. An unavailable ledger is reported elsewhere."""
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        try:
            _note(startup, [*await ledger.durability(), *await ledger.shortages()])
            _note_retention(startup, await ledger.kept_otherwise())
        except LedgerUnavailable:
            continue


def _note_retention(startup: Startup, difference: str | None) -> None:
    if difference is not None and difference != startup.kept_otherwise:
        log.warning("RETENTION_DIFFERS", problem=difference)
    startup.kept_otherwise = difference


def _note(startup: Startup, found: Sequence[str]) -> None:
    before, startup.durability = startup.durability, tuple(f"the ledger's Redis: {one}" for one in found)
    for problem in startup.durability:
        if problem not in before:
            log.warning("LEDGER_NOT_DURABLE", problem=problem)
    if before and not startup.durability:
        log.info("ledger_durable_again")
