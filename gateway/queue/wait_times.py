"""A histogram of how long generations were queued: enough for a median and a 95th percentile, in a few bytes.

The first class ends at 10 ms, each other one a quarter of a doubling later: a wait read from it is at most 19 % (2^¼)
too long, and never too short.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

_FIRST_MS = 10
_CLASSES_A_DOUBLING = 4


def class_of(wait_ms: int) -> int:
    """The class in which a wait is counted, starting at 0."""
    if wait_ms <= _FIRST_MS:
        return 0
    return math.ceil(_CLASSES_A_DOUBLING * math.log2(wait_ms / _FIRST_MS))


def end_of(class_: int) -> int:
    """The longest wait of a class, in milliseconds."""
    return round(_FIRST_MS * 2 ** (class_ / _CLASSES_A_DOUBLING))


def quantile(counts: Mapping[int, int], percent: int) -> int | None:
    """The given percentile of the counted waits, in milliseconds; None if none was counted."""
    total = sum(counts.values())
    reached = 0
    for class_ in sorted(counts):
        reached += counts[class_]
        if reached and 100 * reached >= percent * total:
            return end_of(class_)
    return None
