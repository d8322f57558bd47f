"""What workers and caretakers count, for Prometheus; served by `--metrics-port`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from gateway.ledger.timed import transition_seconds

TRANSITION_SECONDS = transition_seconds()
ATTEMPT_SECONDS = Histogram(
    "farebox_attempt_seconds",
    "How long attempts took from begin to their end, by tool, model and how they ended.",
    ["tool", "model", "ending"],
    buckets=(0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1200, 2700),
)
ATTEMPTS_IN_WORK = Gauge("farebox_attempts_in_work", "Attempts that this worker is making now.", ["tool"])
RESCUES = Counter("farebox_caretaker_rescues", "Rescues by this caretaker, by what they did.", ["action"])
WEBHOOK_TRIES = Counter(
    "farebox_webhook_tries", "Calls of webhooks by this caretaker, by what came of them.", ["outcome"]
)
OUTPUTS_DELETED = Counter("farebox_caretaker_outputs_deleted", "Generations whose old outputs were deleted.")
UPLOADS_DELETED = Counter("farebox_caretaker_uploads_deleted", "Uploads that were deleted because they had expired.")
