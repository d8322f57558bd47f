"""Parses the useful messages of ComfyUI's WebSocket: progress of jobs, and changes of the queue.

```
status            to every client, at each change of the queue: how many jobs are waiting or running
progress          to the client that queued the job: progress of the current node
progress_state    the same, for all of its nodes; newer servers
executing, no node; execution_…: to the same client: the job has ended, or is about to
```

Previews are binary. All messages are hints: `/queue` and `/history` are authoritative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workers.providers.values import document_in, share

_ENDINGS = frozenset({"execution_success", "execution_error", "execution_interrupted"})
_SHARE = 0.95  # while nodes are running; results are then decoded and saved


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job's progress, 0 to 1."""

    job: str
    fraction: float


@dataclass(frozen=True, slots=True)
class JobEnding:
    """A job has ended, or is about to."""

    job: str


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """The number of waiting and running jobs of all clients; None: not given."""

    remaining: int | None


Message = JobProgress | JobEnding | QueueChanged


def read(text: str) -> Message | None:
    """Parse a message of the socket; None if it is irrelevant or invalid."""
    message = document_in(text)
    told = message.get("data") if isinstance(message, dict) else None
    if not isinstance(told, dict):
        return None
    kind, job = message.get("type"), told.get("prompt_id")
    if kind == "status":
        return QueueChanged(_remaining(told))
    if not isinstance(job, str):
        return None
    if kind in _ENDINGS or (kind == "executing" and told.get("node", "") is None):
        return JobEnding(job)
    fraction = _fraction_of(kind, told)
    return None if fraction is None else JobProgress(job, fraction)


def _remaining(told: dict[str, Any]) -> int | None:
    status = told.get("status")
    queue = status.get("exec_info") if isinstance(status, dict) else None
    remaining = queue.get("queue_remaining") if isinstance(queue, dict) else None
    return remaining if isinstance(remaining, int) else None


def _fraction_of(kind: object, told: dict[str, Any]) -> float | None:
    if kind == "progress":
        return _fraction(told)
    nodes = told.get("nodes") if kind == "progress_state" else None
    states = nodes.values() if isinstance(nodes, dict) else ()
    running = [_fraction(node) for node in states if isinstance(node, dict) and node.get("state") == "running"]
    return max((fraction for fraction in running if fraction is not None), default=None)


def _fraction(told: dict[str, Any]) -> float | None:
    done = share(told.get("value"), told.get("max"))
    return None if done is None else _SHARE * done
