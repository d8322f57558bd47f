"""How long generations were queued, as counts in classes: enough for a median and a 95th percentile, in a few bytes.

A class ends at 10 ms, or at a quarter of a doubling beyond the one before: a wait that is read from it is at most 19 %
(2^¼) too long, and never too short.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

_FIRST_MS = 10
_CLASSES_A_DOUBLING = 4


def class_of(wait_ms: int) -> int:
    """The class that a wait is counted in, from 0 on."""
    if wait_ms <= _FIRST_MS:
        return 0
    return math.ceil(_CLASSES_A_DOUBLING * math.log2(wait_ms / _FIRST_MS))


def end_of(class_: int) -> int:
    """The longest wait of a class, in milliseconds."""
    return round(_FIRST_MS * 2 ** (class_ / _CLASSES_A_DOUBLING))


def quantile(counts: Mapping[int, int], percent: int) -> int | None:
    """The wait that `percent` of those counted did not exceed, in milliseconds; None if none was counted."""
    total = sum(counts.values())
    reached = 0
    for class_ in sorted(counts):
        reached += counts[class_]
        if reached and 100 * reached >= percent * total:
            return end_of(class_)
    return None
