"""When each key of the ledger will be gone, against the table of keys."""

from __future__ import annotations

from chaos.checks import Checks
from tests.invariants.contents import Contents
from tests.invariants.lifetimes import lifetime_of

_SUBJECT = "lifetimes of keys"
_NEVER = -1


def check_lifetimes(checks: Checks, contents: Contents, started_ms: int, now_ms: int) -> None:
    """Each key of a partition expires as it should, counted from a change since the run began."""
    for key, stored in contents.items():
        if not key.startswith("{"):
            continue
        try:
            lasts = lifetime_of(key, stored.value)
        except KeyError:
            checks.problems.append(f"nobody described how long {key} is kept")
            continue
        if lasts is None:
            checks.that(stored.expires_at == _NEVER, _SUBJECT, f"{key} would expire, and is to stay")
        else:
            changed_at = stored.expires_at - lasts
            found = "never expires" if stored.expires_at == _NEVER else f"expires in {stored.expires_at - now_ms} ms"
            checks.that(started_ms <= changed_at <= now_ms, _SUBJECT, f"{key} {found}, and is to be kept {lasts} ms")
