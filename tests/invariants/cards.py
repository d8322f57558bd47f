"""The rate cards of the examples: small amounts and tight limits, and a time zone whose clocks change."""

from __future__ import annotations

from dataclasses import replace

from gateway.ledger.policy import PlanTerms, Policy, Terms
from gateway.ledger.policy_of_card import zone_changes
from tests.invariants.model.life import DAY

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
START = 1_795_338_000_000  # 22 November 2026, 09:00 UTC

_FREE = PlanTerms(concurrency={"image": 2}, max_waiting=1)
_STANDARD = PlanTerms(
    monthly_millicredits=300_000, price_cents={1: 900}, concurrency={"image": 3, "video": 2}, max_waiting=3,
    head_start_ms=10 * MINUTE,
    allow={"video": {"resolution": ("480p", "720p")}},
)  # fmt: skip
_PRO = PlanTerms(
    monthly_millicredits=1_000_001, price_cents={1: 2_700, 12: 25_000}, concurrency={"image": 4, "video": 1},
    max_waiting=4, outputs_kept_ms=20 * DAY,
)  # fmt: skip
_UTC = Policy(
    version="sha256:first", file_time_ms=1, timezone="UTC", zone_changes=((0, 0),), reset_ms=0,
    daily_millicredits=100_000, free_for_everyone=True, refund_grace_ms=DAY, keep_upgrade_leftover=True, free=_FREE,
    plans={"standard": _STANDARD, "pro": _PRO},
)  # fmt: skip
_BERLIN = replace(
    _UTC, timezone="Europe/Berlin", zone_changes=tuple(zone_changes("Europe/Berlin", START)),
    reset_ms=2 * HOUR + 30 * MINUTE, daily_millicredits=60_000, free_for_everyone=False, refund_grace_ms=3 * HOUR,
    keep_upgrade_leftover=False,
    plans={"standard": replace(_STANDARD, concurrency={"image": 5}, price_cents={1: 1_000}), "pro": _PRO},
)  # fmt: skip
CARDS = (_UTC, _BERLIN)
TERMS = (
    Terms(queue_timeout_ms=HOUR, provider_timeout_ms=45 * MINUTE, waiting_timeout_ms=DAY, attempts_max=3),
    Terms(
        queue_timeout_ms=90 * SECOND,
        provider_timeout_ms=40 * SECOND,
        waiting_timeout_ms=5 * MINUTE,
        attempts_max=2,
        retry_pauses_ms=(1 * SECOND, 5 * SECOND),
    ),
    Terms(queue_timeout_ms=HOUR, provider_timeout_ms=45 * MINUTE, waiting_timeout_ms=DAY, attempts_max=1),
)
