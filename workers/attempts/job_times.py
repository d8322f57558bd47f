"""When polling a parked job is worthwhile, given how long the last jobs of its model took.

These times are in the queue's Redis (`gateway.queue.job_times`); losing them delays results for a while. A parked job
is not observed: it ended between the last poll that found it running and the one that found it done, and counts as
ended halfway between. So late polls do not make later polls even later.
"""

from __future__ import annotations

from collections.abc import Sequence

_SHARE = 8  # each poll finds an eighth of the jobs done that were running at the previous one
_GROWTH = 10  # a job slower than all recent ones is polled whenever its duration has grown by a tenth
SHORTEST_SECONDS = 2.0


def next_poll_seconds(lately: Sequence[float], elapsed: float) -> float | None:
    """Seconds until the next poll of a job that has run for `elapsed` seconds, given recent durations; None: unknown.

    That is when an eighth of the jobs that took longer than `elapsed` had ended: no polls while most jobs are known to
    take longer, and many around the time they end.
    """
    if not lately:
        return None
    longer = sorted(seconds for seconds in lately if seconds > elapsed)
    pause = longer[(len(longer) - 1) // _SHARE] - elapsed if longer else elapsed / _GROWTH
    return max(pause, SHORTEST_SECONDS)
