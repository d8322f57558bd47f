"""The ledger's scripts, and the translation of Redis errors."""

from __future__ import annotations

import asyncio

from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from gateway.errors import LedgerBroken, LedgerFull, LedgerUnavailable
from gateway.redis_link.connections import is_closed_transport
from gateway.redis_link.scripts import ScriptFolder

SCRIPTS = ScriptFolder("gateway.ledger")

_OUTAGES = (
    RedisConnectionError,
    RedisTimeoutError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
    OSError,
)
_OUTAGE_WORDS = (
    *("LOADING ", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "MISCONF", "TRYAGAIN", "NOREPLICAS"),
    *("MOVED ", "UNBLOCKED "),  # still redirected after a second; demoted while it waited for replicas
)


def translated(error: BaseException, what: str) -> BaseException:
    """Translate redis-py's errors: LedgerUnavailable, LedgerFull or LedgerBroken."""
    if isinstance(error, LedgerUnavailable | asyncio.CancelledError):
        return error
    if isinstance(error, OutOfMemoryError) or (isinstance(error, ResponseError) and str(error).startswith("OOM ")):
        return LedgerFull(f"{what}: {error}")
    outage_words = isinstance(error, ResponseError) and str(error).startswith(_OUTAGE_WORDS)
    if isinstance(error, _OUTAGES) or outage_words or is_closed_transport(error):
        return LedgerUnavailable(f"{what}: {type(error).__name__}: {error}")
    if isinstance(error, RedisError):
        return LedgerBroken(f"{what}: {error}")
    return error
