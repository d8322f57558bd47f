"""How long each kind of key is kept, as `gateway/ledger/README.md` promises: the model and `make chaos` compare it.

`test_lifetimes.py` reads the same figures in that page, so that neither can say something else.
"""

from __future__ import annotations

from typing import Any

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

LIFETIMES: dict[str, int | None] = {
    "unarchived": None, "archiving": None,
    "account": None, "deadlines": None, "waiting": None, "recent": None, "journal": None, "outputs": None,
    "made_by": 40 * DAY, "webhook": None, "webhooks": None, "totals": None, "policy": None,
    "generation": 30 * DAY, "failed": 30 * DAY, "idempotency": DAY, "client_call": 10 * MINUTE,
    "usage": 400 * DAY, "usage_keys": 400 * DAY, "usage_tags": 400 * DAY, "margin": 402 * DAY,
    "checkout": 400 * DAY, "billing": 400 * DAY, "token": HOUR, "purchases": 400 * DAY,
    "delivery": 31 * DAY, "deliveries": 31 * DAY, "pending": 31 * DAY,
}  # fmt: skip
"""Kind of a partition's key → milliseconds from its last change (a generation: from its end); None: for ever."""

CLAIM = MINUTE
"""How long a request is claimed that is being worked on."""

_OPEN = frozenset({"waiting", "queued", "running"})


def kind_of(key: str) -> str:
    """`{fb0b}:usage:ann:2026-11-22` is `usage`."""
    return key.split(":", 2)[1]


def lifetime_of(key: str, value: Any) -> int | None:
    """How long after its last change a key is gone; None: never. KeyError: nobody described it."""
    kind = kind_of(key)
    if key.startswith("fb:key:"):
        return None
    if key.startswith("fb:checkout_owner:"):
        return LIFETIMES["checkout"]
    if kind == "generation" and value["state"] in _OPEN:
        return None
    if kind == "idempotency" and str(value).endswith(" pending"):
        return CLAIM
    return LIFETIMES[kind]
