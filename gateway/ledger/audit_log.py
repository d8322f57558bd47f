"""The audit log: what operators' keys changed. One sorted set, bounded in size and age.

A call is logged before it runs and again when it has ended, in place of the first entry: so whatever was changed has an
entry, and one without a status belongs to a process that died in between (or a call that still runs).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from gateway.clock import now_ms
from gateway.ledger import keys
from gateway.ledger.core import LedgerCore
from gateway.ledger.outcomes import Page

KEPT_MS = 400 * 86_400_000
ENTRIES_MAX = 200_000  # of 0.6 KB: 120 MB, and 500 changes a day for 400 days
_FOR_EVER_MS = 10_000 * 86_400_000
_ENDLESS = 10**9
_AT_ONCE = 100
_EXAMINED_MAX = 2_000  # per page: a filter that few entries pass gets a short page, and goes on from there


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCall:
    """A call that changes something, made with an operator's key or by a member who manages an account (`member`).

    `key` is the key's id, `role` what it may do, `action` the call's name. `account` and `subject` are what it is
    about. `before` and `after` have what the call changed of it, by name. While it runs, `status` and `after` are
    None, and `before` is all that it could change. `operation` is the same for retries with one idempotency key;
    `replayed`: an earlier one had done it.
    """

    request: str
    key: str
    address: str
    action: str
    role: str | None = None
    member: str | None = None
    account: str | None = None
    subject: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    reason: str | None = None
    operation: str | None = None
    status: int | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """An entry of the audit log. `id` is its place, `at` when it was written."""

    id: str
    at: int
    call: OperatorCall


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which entries to list; None: all."""

    account: str | None = None
    key: str | None = None
    action: str | None = None
    first_ms: int | None = None
    end_ms: int | None = None

    def admits(self, logged: LoggedCall) -> bool:
        """Whether an entry passes."""
        call = logged.call
        return (
            (self.end_ms is None or logged.at < self.end_ms)
            and self.account in {None, call.account}
            and self.key in {None, call.key}
            and self.action in {None, call.action}
        )


class AuditLogOperations(LedgerCore):
    """Writes and reads the audit log."""

    async def logged_after(self, entry: str, *, at_most: int) -> list[tuple[str, str, str]]:
        """Entries after this id ("": from the first), oldest first: id, request, call as JSON."""
        least = f"({entry}!" if entry else "-"
        found = await self.command("ZRANGEBYLEX", keys.AUDIT_LOG, least, "+", "LIMIT", 0, at_most)
        return [_split(text.decode()) for text in found]

    async def trim_audit_log(self, *, copied_to: str) -> None:
        """Remove entries that are too old or too many, of those up to this id: an archive has them."""
        days = await self.command("HGET", keys.policy(0), "keep:archived")
        oldest = f"({_place(now_ms() - min(KEPT_MS, int(days or KEPT_MS)))}"
        await self.command("ZREMRANGEBYLEX", keys.AUDIT_LOG, "-", min(oldest, f"({copied_to}!"))
        too_many = int(await self.command("ZCARD", keys.AUDIT_LOG)) - ENTRIES_MAX
        if too_many > 0:
            copied = int(await self.command("ZLEXCOUNT", keys.AUDIT_LOG, "-", f"({copied_to}!"))
            if copied:
                await self.command("ZREMRANGEBYRANK", keys.AUDIT_LOG, 0, min(too_many, copied) - 1)

    async def log_call(self, call: OperatorCall, *, begun: str | None = None) -> str:
        """Log a call that begins, or in place of the entry `begun` one that has ended; returns the entry's id."""
        archived = await self.command("HGET", keys.policy(0), "archive") == b"1"  # then only the archivist trims
        _, (logged,) = await self.run(
            "log_call",
            keys.AUDIT_LOG,
            request=call.request,
            call=json.dumps(asdict(call), separators=(",", ":")),
            begun=begun,
            kept_ms=_FOR_EVER_MS if archived else KEPT_MS,
            entries_max=_ENDLESS if archived else ENTRIES_MAX,
        )
        return str(logged.decode())

    async def audit_log(self, *, limit: int, before: str | None, only: CallFilter) -> Page[LoggedCall]:
        """A page, newest first. It may hold fewer than `limit` and still have a next one."""
        oldest = max(now_ms() - KEPT_MS, only.first_ms or 0)
        newest = "+" if before is None else f"({_padded(before)}"
        if before is None and only.end_ms is not None:
            newest = f"({_place(only.end_ms)}"
        found: list[LoggedCall] = []
        in_archive = False
        for _ in range(_EXAMINED_MAX // _AT_ONCE):
            read = await (self._older_calls if in_archive else self._calls_before)(newest, _place(oldest))
            for logged in read:
                newest = f"({logged.id}"
                if only.admits(logged):
                    found.append(logged)
                    if len(found) > limit:
                        return Page(tuple(found[:limit]), found[limit - 1].id)
            if len(read) < _AT_ONCE:
                if self.older is None or in_archive:
                    return Page(tuple(found), None)
                in_archive = True
        return Page(tuple(found), newest[1:])

    async def _calls_before(self, newest: str, oldest: str) -> list[LoggedCall]:
        words = ("ZREVRANGEBYLEX", keys.AUDIT_LOG, newest, f"[{oldest}", "LIMIT", 0, _AT_ONCE)
        return [_decode(*_split(entry.decode())) for entry in await self.command(*words)]

    async def _older_calls(self, newest: str, oldest: str) -> list[LoggedCall]:
        """The same from the archive, before the oldest that the ledger has."""
        kept = await self.command("ZRANGE", keys.AUDIT_LOG, 0, 0)
        bounds = ["9" if newest == "+" else newest[1:], *(entry.decode().partition(" ")[0] for entry in kept)]
        if self.older is None:
            return []
        found = await self.older.calls(before=min(bounds), since=oldest, limit=_AT_ONCE)
        return [_decode(*one) for one in found]


_KNOWN = frozenset(field.name for field in fields(OperatorCall))


def _split(text: str) -> tuple[str, str, str]:
    logged, request, call = text.split(" ", 2)
    return logged, request, call


def _padded(entry: str) -> str:
    at, _, number = entry.partition("-")
    return f"{_place(int(at))}-{int(number):06d}"


def _place(at: int) -> str:
    """What the ids of all entries since `at` begin with, or are above."""
    return f"{max(0, at):015d}"


def _decode(logged: str, _request: str, stored: str) -> LoggedCall:
    call = json.loads(stored)  # a newer gateway beside this one may have written more
    return LoggedCall(
        logged,
        int(logged.partition("-")[0]),
        OperatorCall(**{member: value for member, value in call.items() if member in _KNOWN}),
    )
