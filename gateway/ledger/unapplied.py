"""Payment events that could not be applied: kept in the ledger, bounded, until they are applied or dropped."""

from __future__ import annotations

from gateway.ledger import keys
from gateway.ledger.core import LedgerCore

EVENTS_MAX = 500
EVENT_BYTES_MAX = 32 * 1024  # 500 of them are 16 MB
_KEPT_MS = 400 * 86_400_000  # as long as a purchase is


class UnappliedOperations(LedgerCore):
    """One hash, event id → text, by plain commands: keeping or dropping an event is idempotent."""

    async def keep_event(self, event: str, text: str) -> bool:
        """Store or update an event's record; False if there is no room: nothing was stored."""
        if len(text.encode()) > EVENT_BYTES_MAX:
            return False
        known, count = await self._exists(event), await self.count_kept_events()
        if not known and count >= EVENTS_MAX:
            return False
        await self.command("HSET", keys.UNAPPLIED, event, text)
        await self.command("PEXPIRE", keys.UNAPPLIED, _KEPT_MS)
        return True

    async def kept_events(self) -> dict[str, str]:
        """All events, in no particular order."""
        flat = await self.command("HGETALL", keys.UNAPPLIED)
        pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        return {event.decode(): text.decode() for event, text in pairs}

    async def kept_event(self, event: str) -> str | None:
        """One event; None if it is not stored."""
        text = await self.command("HGET", keys.UNAPPLIED, event)
        return None if text is None else str(text.decode())

    async def count_kept_events(self) -> int:
        """The number of events."""
        return int(await self.command("HLEN", keys.UNAPPLIED))

    async def drop_event(self, event: str) -> bool:
        """Delete an event; False if it was not stored."""
        return bool(await self.command("HDEL", keys.UNAPPLIED, event))

    async def _exists(self, event: str) -> bool:
        return bool(await self.command("HEXISTS", keys.UNAPPLIED, event))
