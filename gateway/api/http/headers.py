"""Names of headers that are used in several places, and a type of content."""

from __future__ import annotations

from multidict import istr

IDEMPOTENCY_HEADER = istr("Idempotency-Key")
REPLAY_HEADER = "Idempotent-Replay"
REASON_HEADER = "X-Farebox-Reason"
GENERATION_HEADER = "X-Farebox-Generation"

# The names in the IETF draft up to version 06, which clients and proxies know; later versions combine them into one.
LIMIT_HEADER = "RateLimit-Limit"
REMAINING_HEADER = "RateLimit-Remaining"
RESET_HEADER = "RateLimit-Reset"

JSON_LINES = "application/x-ndjson"
