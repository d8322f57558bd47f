"""How far a job is, by the word that its vendor has for it.

Each vendor documents a few words and sends others: fal's queue answers FAILED where its page knows only COMPLETED. A
job that has ended in a way that nobody documented must end here too: asked again until the deadline, it keeps its
customer waiting for what will never come.
"""

from __future__ import annotations

from enum import Enum, auto


class Stage(Enum):
    """Whether a job goes on, and how it ended. UNKNOWN: the answer does not say, and is as good as lost."""

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
    """The stage that a word stands for."""
    word = status.strip().lower().replace("-", "_").replace(" ", "_") if isinstance(status, str) else ""
    for words, stage in ((_RUNS, Stage.RUNS), (_SUCCEEDED, Stage.SUCCEEDED), (_FAILED, Stage.FAILED)):
        if word in words:
            return stage
    return Stage.UNKNOWN
