"""What the scripts need of the rate card: written to every partition when a gateway loads one.

Lua has no access to files or time zones, so the zone's offsets are given as a list of changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain import SettingValue
from gateway.transitions import RETRY_PAUSES_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTerms:
    """A plan's terms, or those of `[free]` (then the allotment and price-related fields are 0).

    `concurrency` by tool (a tool without an entry: 1); `allow` limits settings: tool → setting → allowed values.
    `seats`: how many members an account may have; None: any number.
    `outputs_kept_ms`: how long outputs are kept after the end; None: as the gateway is set.
    `price_cents`: months per billing interval → the price of the interval.
    """

    monthly_millicredits: int = 0
    price_cents: Mapping[int, int] = field(default_factory=dict)
    concurrency: Mapping[str, int] = field(default_factory=dict)
    max_waiting: int
    seats: int | None = None
    outputs_kept_ms: int | None = None
    head_start_ms: int = 0
    allow: Mapping[str, Mapping[str, tuple[SettingValue, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The part of a rate card that the scripts need.

    `file_time_ms` orders cards: a newer one replaces an older one. `zone_changes` has (instant ms, offset ms from
    then on), the first at or before the earliest time that matters; `reset_ms` is the reset's time of day.
    `free_for_verified`: only accounts that operators have verified get the daily credits.
    `keep_archived_ms`: how long what is in the archive also stays in Redis; None: as long as without an archive.
    `spent_is_owed`: if a payment is refunded, credits of it already spent become a debt (R33).
    """

    version: str
    file_time_ms: int
    timezone: str
    zone_changes: tuple[tuple[int, int], ...]
    reset_ms: int
    daily_millicredits: int
    free_for_everyone: bool
    free_for_verified: bool = False
    refund_grace_ms: int
    keep_upgrade_leftover: bool
    spent_is_owed: bool = False
    keep_archived_ms: int | None = None
    free: PlanTerms
    plans: Mapping[str, PlanTerms]


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """The rate card whose policy a partition has."""

    version: str
    file_time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A tool's limits, copied into a generation at `reserve`."""

    queue_timeout_ms: int
    provider_timeout_ms: int
    waiting_timeout_ms: int
    attempts_max: int
    retry_pauses_ms: tuple[int, ...] = RETRY_PAUSES_MS
    """The pauses after the first failure, the second, and so on; the last applies to all that follow."""
