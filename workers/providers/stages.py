"""Maps vendors' job statuses to stages.

Each vendor documents a few statuses and sends others: fal's queue returns FAILED, while its documentation has only
COMPLETED. A job with an undocumented final status must end here too: otherwise it would be polled until its deadline,
and its customer would wait for nothing.
"""

from __future__ import annotations

from enum import Enum, auto


class Stage(Enum):
    """Whether a job is in progress, or how it ended. UNKNOWN: the response does not tell, as if it had been lost."""

    RUNS = auto()
    SUCCEEDED = auto()
    FAILED = auto()
    UNKNOWN = auto()


_RUNS = frozenset({
    *("queued", "in_queue", "pending", "submitted", "accepted", "created", "scheduled", "waiting", "throttled"),
    *("starting", "booting", "running", "processing", "in_progress", "progress", "generating", "retrying"),
})  # fmt: skip
_SUCCEEDED = frozenset({"succeeded", "success", "successful", "completed", "complete", "done", "finished", "ok"})
_FAILED = frozenset({
    *("failed", "failure", "error", "errored", "rejected", "moderated", "crashed", "dead", "lost"),
    *("canceled", "cancelled", "aborted", "killed", "stopped", "interrupted", "deleted"),
    *("expired", "timeout", "timed_out", "timedout"),
})  # fmt: skip


def stage_of(status: object) -> Stage:
    """The stage of a status."""
    word = status.strip().lower().replace("-", "_").replace(" ", "_") if isinstance(status, str) else ""
    for words, stage in ((_RUNS, Stage.RUNS), (_SUCCEEDED, Stage.SUCCEEDED), (_FAILED, Stage.FAILED)):
        if word in words:
            return stage
    return Stage.UNKNOWN
