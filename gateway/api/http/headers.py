"""Headers that more than one place reads, writes or describes, each spelled once."""

from __future__ import annotations

IDEMPOTENCY_HEADER = "Idempotency-Key"
REPLAY_HEADER = "Idempotent-Replay"
REASON_HEADER = "X-Farebox-Reason"
GENERATION_HEADER = "X-Farebox-Generation"

# The names of the IETF's draft up to its sixth version, which clients and proxies know; later ones fold them into one.
LIMIT_HEADER = "RateLimit-Limit"
REMAINING_HEADER = "RateLimit-Remaining"
RESET_HEADER = "RateLimit-Reset"
